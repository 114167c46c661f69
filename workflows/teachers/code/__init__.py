"""The code team's teacher: a function for a sum, run against hidden tests."""
