"""Reinforcement learning with verifiable rewards: where a token's advantage comes from."""
