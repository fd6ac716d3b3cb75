"""Putting modules into another order."""
