"""Sampling with a vLLM server that holds a copy of the policy's weights.

Read ``sampler`` first: it sends one request per context and compares log-probabilities with the
policy. ``client`` speaks HTTP and checks each answer; ``weights`` updates the server's weights, and
``adapters`` the adapter of a LoRA student beside them.
"""
