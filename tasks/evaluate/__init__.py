"""Scores of checkpoints, and the scorecard and report of a consolidation.

Read ``measure`` first, then ``scorecard``: measurements of prompts (``outcomes``) become scores
with intervals (``tasks.statistics``, ``normalised``). ``cards`` records them. ``consider`` releases
a student if its conditions hold, ``publish`` makes its ``report``, ``compare`` compares two
consolidations. ``wording`` has the words that page, plot and terminal share.
"""
