"""Effective depth, and what modules do."""
