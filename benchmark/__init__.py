"""Measurements and long trials of the whole, each a command of its own."""
