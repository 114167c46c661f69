"""What a checkpoint scores, and what a consolidation came to.

Read ``measure`` first, then ``scorecard``: measurements of prompts (``outcomes``) become scores
with intervals (``tasks.statistics``, ``normalised``). ``cards`` records them. ``consider`` releases
a student where its conditions hold, ``publish`` makes its ``report``, ``compare`` holds two
consolidations beside each other. ``wording`` has the words that page, plot and terminal share.
"""
