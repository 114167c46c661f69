"""Repeats a student's round without some teachers: by a retrain, or from its ledger."""
