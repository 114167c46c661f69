"""Which teacher shaped a behaviour, how sure that is, and what the student would be without it."""
