"""The gradient by path length."""
