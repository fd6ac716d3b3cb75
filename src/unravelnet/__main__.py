"""Lets `python -m unravelnet` do what `unravelnet` does."""

from unravelnet.cli import main

if __name__ == "__main__":
    main()
