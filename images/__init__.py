"""Container images by name; digests are bound at registration."""
