"""What came from what, and is it still true. No Flyte, no torch."""
