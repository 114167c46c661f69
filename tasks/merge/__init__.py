"""Merging by weights: the cheap controls beside every MOPD run.

``weights`` holds the averages and task vectors, ``controls`` the recorded merges.
"""
