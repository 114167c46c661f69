"""GLM-5: weights from stage to stage; two of them teach the last checkpoint, which is one of them.

Section 17 of the recipes: SFT, reasoning RL, agentic RL, general RL, cross-stage distillation.
"""

from tests.recipes.graphs import BASE, T, W

EDGES = {
    (BASE, "sft", W),
    ("sft", "reasoning", W),
    ("reasoning", "agentic", W),
    ("agentic", "general", W),
    ("general", "distilled", W),
    ("general", "distilled", T),
    ("reasoning", "distilled", T),
}
