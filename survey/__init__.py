"""The survey of architectures: one small model of every family, captured, against what its own definition says.

``python -m survey`` makes ``results/architectures.csv`` and ``docs/architectures.md``.
"""
