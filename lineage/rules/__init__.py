"""Rules that published things must keep by their records, one set for each kind of record.

Read ``table`` first: it lists every rule and checks a record by those of its kind. ``evidence`` is
what the rules read.
"""
