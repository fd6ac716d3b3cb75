"""Routes through a network: which modules are visited, in which order, and how; and ways to draw them."""
