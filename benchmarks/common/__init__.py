"""What the benchmarks share; README.md beside this package lists the benchmarks.

``checkout`` says where results lie and whether the code has changes, ``circumstances`` under what a
figure was measured. ``results`` writes and reads its file; ``prompt_rows`` keeps what a scorecard
is made from. ``statistics`` and ``process`` measure, ``figures`` makes the tables of the pages, and
``recompute`` makes summaries again from their rows.
"""
