"""Deleting single modules."""
