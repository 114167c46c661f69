"""Checks of a machine's support for training and for confined environments."""
