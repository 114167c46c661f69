"""The needs of a round before it runs: memory of each rank, storage, network traffic and time.

``shape`` counts a model from its config, without weights. ``work`` is what one rank has to do. The
arithmetic is in ``memory``, ``traffic`` and ``needs``; ``layouts`` compares the needs with a
flavor's GPUs and finds the nearest layout that fits.
"""
