"""Running many routes over data, and what is measured of them."""
