"""The per-token losses of MOPD, as pure functions of the logits of one chunk of tokens.

Read ``token_loss`` first: the sum of teacher, outcome reward and reference. ``teacher_term`` picks
the divergence: ``exact`` over the vocabulary, or ``top_k`` on a few tokens or the sampled one.
``anchored`` holds delta targets and the reference KL.
"""
