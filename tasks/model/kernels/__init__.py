"""Faster equivalents of parts of a model. None changes a number beyond rounding.

``unread_tokens`` skips work on tokens that are shared or not read, ``norms`` has an RMS norm, and
``cpu`` an attention for CPUs. ``cuda_graph`` repeats a recorded sampling step on a GPU, and
``grouped_queries`` has an attention for it. Each is independent.
"""
