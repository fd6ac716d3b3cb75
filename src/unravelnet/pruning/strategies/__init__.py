"""The strategies of pruning, a file each; `registry.STRATEGIES` lists them."""
