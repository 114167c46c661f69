"""Team tool: a value that is looked up, and a sum that is calculated, by two calls."""
