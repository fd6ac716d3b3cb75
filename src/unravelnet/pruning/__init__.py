"""Which modules matter, and which can go: scores of importance, and how well they foresee what a deletion costs."""
