"""The organization at size: 200 teams, 10,000 releases, 100,000 checkpoints, on a folder.

``organization`` makes it, at a share of its size; ``measure`` asks it what people ask every day;
``python -m benchmarks.scale`` does both, and writes how each cost grows.
"""
