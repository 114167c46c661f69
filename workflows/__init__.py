"""Flyte graphs. They wire tasks together and compute nothing."""
