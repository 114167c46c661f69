"""Ground floor: load and save models; chat tokens; log-probabilities.

Read ``files`` first, then ``log_probs``. ``chat`` turns messages into tokens, ``rendering`` runs a
template in a process with limits. ``lora`` has the adapters, ``architecture`` and ``shards`` are
what training needs of a model's layers, and of its parts on several ranks. ``kernels`` are fast
equivalents of parts of a model.
"""
