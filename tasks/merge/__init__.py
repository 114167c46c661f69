"""Merging by weights: the cheap controls beside every MOPD run."""
