"""Questions about the graph of records: ancestors, descendants, paths, differences.

Read ``graph`` first. It asks ``index``, a local SQLite database made from the records, and answers
in the values of ``nodes``.
"""
