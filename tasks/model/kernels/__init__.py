"""Faster equivalents of parts of a model. None changes a number beyond rounding.

Training: ``norm`` (RMS norm with its own derivative), ``shared_beginning`` (the shared prefix of a
batch is computed once) and ``last_layer`` (the last MLP runs only on the needed tokens). Sampling:
``one_token_attention`` on a CPU and ``cuda_graph`` on a GPU. Each is independent.
"""
