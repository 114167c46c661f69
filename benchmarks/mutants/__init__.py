"""Mutants: does a test fail when one operator, number or condition of the product is wrong?

Question: do the tests still kill the mutants that they killed before names and tests changed?

    python -m benchmarks.mutants draw            # a fixed sample, into results/mutants_drawn.json
    python -m benchmarks.mutants run FILE        # what is left of it, into FILE (about an hour)
    python -m benchmarks.mutants table FILE ...  # killed and survived, for each room

``results/mutants_before.json`` is of the commit before the names changed (65 of the 84 were run),
``mutants_after.json`` of one after: none that was killed before survives, and 12 are of code that
is gone or moved. What survived there is
one of: the last of two dimensions named -1 or 1, a ``strict`` that never has to refuse, a limit of
time or memory, or a fault that a test was then written for.

Cosmic Ray's operators make the mutants. A mutant is known by its function and by its statement
before and after, so that it is found again when code moves; ``renames.json`` says what was renamed.
Cost: a test run for each mutant, 5 to 60 s on one core. Run it in a clean checkout of its own: it
changes the files that it tests. Start with ``rooms``.
"""
