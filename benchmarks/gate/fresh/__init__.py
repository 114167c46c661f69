"""The gate on a fresh family: cases that were written after its code and thresholds were frozen.

``family`` lists the cases, ``teachers`` makes them, ``rewording`` and ``grader`` hold the other
conventions. ``one_case`` runs a case from probe to students, ``predictors`` are compared with the
gate, ``ancestry`` asks for parents, and ``tables`` has the figures from the raw rows.
``predictions.json`` holds the goals from before the first case was run.
"""
