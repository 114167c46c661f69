"""The testbed of the recipes: six domains, each of its own team, and the base they start from."""
