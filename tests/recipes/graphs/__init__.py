"""What each recipe's stages hand to each other, as the sources have it, one module a recipe.

``EDGES`` holds (stage, stage, what). Write it from the source, not from the recipe's code.
"""

from lineage.graph.handed import Handed

W, D, S = Handed.WEIGHTS, Handed.DATA, Handed.SCORES
K, T, V = Handed.REFERENCE, Handed.TEACHER, Handed.VALUE
BASE = "base"
RM = "reward model"
"""Name of every model that is no stage of the card."""
