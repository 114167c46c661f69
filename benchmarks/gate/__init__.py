"""Does the gate let through what merges, and stop what does not? Mismatches made on purpose.

    python -m benchmarks.gate --help

Read ``cases`` first. ``verdicts`` holds the rules that are compared, ``tables`` what is printed.
"""
