"""Counting paths, fitting decays, and intervals: mathematics without networks."""
