"""Does the audit name the right teacher? Planted behaviors, estimators and retrains, side by side.

    python -m benchmarks.attribution --help

Read ``world`` first: what is planted, and in whom. Then ``asking`` and ``tables``.
"""
