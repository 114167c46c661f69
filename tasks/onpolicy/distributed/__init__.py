"""A run on several ranks: sharded weights, and what all ranks do together."""
