"""The networks that come with the package: how one gets there. `python -m shipping --help`."""
