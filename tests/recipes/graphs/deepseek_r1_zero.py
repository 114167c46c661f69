"""DeepSeek-R1-Zero: one stage from the base."""

from tests.recipes.graphs import BASE, W

EDGES = {(BASE, "zero", W)}
