"""A lineage for people: a picture, a page, and the summary of a run.

``fold`` makes a graph small enough to look at, ``layout`` places its boxes, ``picture`` draws it,
and ``page`` puts it into one HTML file.
"""
