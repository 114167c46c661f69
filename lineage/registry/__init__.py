"""Names of what teams share, as signed statements of their owners.

Read ``registry`` first: versions, aliases, recalls. ``names`` has the references that people
type and the entries behind them, ``slots`` how entries are stored, and ``valid_recalls`` which
recalls count.
"""
