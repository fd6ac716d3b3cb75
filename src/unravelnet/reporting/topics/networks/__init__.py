"""The networks that were studied."""
