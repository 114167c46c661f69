"""Merging by weights: the cheap controls beside every MOPD run, and soups of checkpoints.

``weights`` holds the arithmetic, ``controls`` the merges of a plan's teachers, ``soup`` those of
any checkpoints that share an ancestor.
"""
