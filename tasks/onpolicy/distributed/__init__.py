"""A run on several ranks: sharded weights, and collective steps and rollouts."""
