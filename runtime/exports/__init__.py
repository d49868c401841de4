"""A trained network in forms that other programs run, and the comparison that each of them must pass."""
