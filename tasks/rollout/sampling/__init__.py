"""Sampling engines: contexts and noise in, model turns with log-probabilities out.

Read ``sampler`` first, the interface of both engines. ``transformers`` samples in this process,
``vllm`` with a server; ``engine`` opens the one that the settings name.
"""
