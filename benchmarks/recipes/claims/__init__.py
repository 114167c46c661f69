"""The smallest test of each system, as claims about the stages of its recipe.

``kinds`` has the kinds of claims. Each other module is named like a recipe and lists its
``CLAIMS``. A recipe passes if all of them hold over the seeds that ran. What a card cannot show is
a comment there, ``# not checked: ...``. All thresholds are ours; no source states one.
"""
