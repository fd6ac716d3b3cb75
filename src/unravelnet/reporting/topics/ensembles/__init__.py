"""Averaging the predictions of routes."""
