"""The per-token losses of MOPD, as pure functions of the logits of one chunk of tokens."""
