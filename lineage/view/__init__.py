"""A lineage for people: a picture, a page, and the summary of a run.

``fold`` makes a graph small enough to look at, ``layout`` places its boxes, and ``picture``
draws it as SVG or as an HTML page. ``summary`` is the result of a run in a few lines.
"""
