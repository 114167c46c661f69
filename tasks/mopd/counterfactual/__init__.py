"""A student's round again without some teachers: retrained, or recomputed from its ledger."""
