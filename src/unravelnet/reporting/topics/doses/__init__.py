"""Scaling the branch of each module."""
