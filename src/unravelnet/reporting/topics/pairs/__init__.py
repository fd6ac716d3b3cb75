"""Deleting pairs of modules."""
