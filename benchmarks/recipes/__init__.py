"""Every recipe on the testbed, and whether it shows what its source says of it.

``__main__`` runs recipes and judges them, ``evidence`` is what is kept of a run, ``claims`` holds
the smallest test of each system as statements about its stages, one module for each recipe. Read
``claims/kinds.py`` first. The statements were written before the first run at the scale tiny.
"""
