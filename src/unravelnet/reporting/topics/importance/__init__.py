"""Which modules matter, and which score knows."""
