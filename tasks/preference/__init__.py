"""Learning from preferences: DPO on TRL, from comparisons and against a frozen reference.

Read ``loss`` first: the formula of each variant. ``steps`` says what is recorded, ``train`` how
TRL's trainer gets it.
"""
