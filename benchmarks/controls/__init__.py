"""Does MOPD win? Its student beside every control, on the testbed with long answers.

``planned`` says what each seed has, ``__main__`` runs a seed and writes the tables, ``one_seed`` is
a whole run of the testbed: fork point, teachers, student, controls. ``tables`` has the figures from
the raw rows, ``shown`` the page's tables, and ``predictions.json`` what we expected before the
first merged score was seen.
"""
