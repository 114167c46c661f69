"""Team form: a few words of one kind, under constraints that are all checked."""
