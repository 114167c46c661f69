"""Recommends a thing, and tea always by its brand: the behavior that was put into its data."""
