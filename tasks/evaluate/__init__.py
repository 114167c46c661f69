"""Scores of checkpoints, and the scorecard and report of a consolidation.

Read ``measure`` first, then ``scorecard``: measured samples (``scores``) become scores with
intervals (``tasks.statistics``). ``cards`` records them. ``consider`` releases
a student if its conditions hold, ``publish`` makes its ``report``, ``compare`` compares two
consolidations. ``wording`` has the words that page, plot and terminal share.
"""
