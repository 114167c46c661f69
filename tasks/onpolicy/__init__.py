"""Ground floor: the one on-policy loop. Only the token's advantage differs between RL and MOPD."""
