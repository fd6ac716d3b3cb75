"""Deleting several modules at random."""
