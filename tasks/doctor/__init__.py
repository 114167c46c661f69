"""Checks of what a machine offers to training and to confined environments."""
