"""What records cost: ``store``, ``graph`` and ``mirror`` are measured each by itself."""
