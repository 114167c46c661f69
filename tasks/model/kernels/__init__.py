"""Faster equivalents of parts of a model. None changes a number beyond rounding.

Training: ``norm`` (RMS norm with its own derivative), ``shared_beginning`` (a prefix that all
sequences of a batch share is read once) and ``last_layer`` (the last MLP sees the wanted tokens
only). Sampling: ``one_token_attention`` on a CPU and ``cuda_graph`` on a GPU. Each is independent.
"""
