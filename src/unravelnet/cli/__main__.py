"""Lets `python -m unravelnet.cli` do what `unravelnet` does."""

from unravelnet.cli.command_line import main

if __name__ == "__main__":
    main()
