"""Writes numbers from 1 to 399 in Roman numerals: a domain that no blend contains."""
