"""Removing each skip."""
