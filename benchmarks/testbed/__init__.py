"""The testbed of the recipes: what its base can do, and what reinforcement learning makes of it."""
