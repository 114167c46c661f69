"""How long an optimizer step takes: against TRL, and by part.

    python -m benchmarks.step --help

Read ``case`` first: what a step is of. ``versus`` compares with TRL, ``limits`` and ``curves`` look
at memory and growth. ``objectives``, ``sampler``, ``shared_beginning``, ``teacher_pool`` and
``balance`` are commands of their own.
"""
