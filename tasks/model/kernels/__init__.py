"""Faster equivalents of parts of a model. None changes a number beyond rounding.

``unread_tokens`` skips work on tokens that are shared or not read, ``norms`` has an RMS norm,
``cpu`` an attention for CPUs, and ``cuda_graph`` repeats a recorded sampling step on a GPU. Each is
independent, and ``switch`` turns all of them off.
"""
