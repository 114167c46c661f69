"""A model and its history as files that other people's tools read."""
