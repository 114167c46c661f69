"""Follows instructions that a program can check: those of IFEval."""
