"""Paths: counted, not measured."""
