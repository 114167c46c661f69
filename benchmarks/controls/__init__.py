"""Does MOPD win? Its student beside every control, on the testbed with long answers.

``__main__`` runs a seed and writes the tables, ``one_seed`` is a whole run of the testbed: fork
point, teachers, student, controls. ``tables`` has the figures from the raw rows, and
``predictions.json`` what we expected before the first merged score was seen.
"""
