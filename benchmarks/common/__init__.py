"""What the benchmarks share; README.md beside this package lists the benchmarks.

``circumstances`` says under what a figure was measured, ``results`` writes and reads its file,
``statistics`` and ``process`` measure, and ``figures`` makes the tables of the pages.
"""
