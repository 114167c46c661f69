"""The ledger: every update of the weights split by source, exactly.

Read ``split_adamw`` first: the algebra, and the optimizer. ``source_gradients`` reports a source's
part of a gradient, ``schema`` is what is kept, ``writer`` and ``reader`` are the folder, and
``estimate`` says what a run takes.
"""
