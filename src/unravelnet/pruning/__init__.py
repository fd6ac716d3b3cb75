"""Which modules matter, and which can go: scores of importance, searches, and what is left."""
