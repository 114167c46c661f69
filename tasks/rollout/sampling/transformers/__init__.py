"""Sampling with a Hugging Face model in this process, repeatable to the bit.

Read ``sampler`` first: it sorts a batch, picks a reader and returns turns. ``readers`` run the
model over contexts and then token by token, ``cache`` holds their keys and values, ``writing``
draws the tokens, and ``pace`` holds the batch sizes measured for each kind of device.
"""
