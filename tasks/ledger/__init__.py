"""The ledger: every update of the weights split by source, exactly.

Read ``split_adamw`` first: the algebra, and the optimizer. ``source_gradients`` reports a source's
part of a gradient, ``schema`` defines the documents, ``writer`` and ``reader`` handle the folder,
and ``estimate`` computes the cost of a run.
"""
