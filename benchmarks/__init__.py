"""Benchmarks: ratios against something measured in the same run. Run them all: `python -m benchmarks`."""
