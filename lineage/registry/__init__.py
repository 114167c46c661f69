"""Names of what teams share, as signed statements of their owners.

Read ``registry`` first: versions, aliases, recalls. ``names`` and ``slots`` are what it reads and
adds to, ``reference`` is what people type, and ``valid_recalls`` says which recalls count.
"""
