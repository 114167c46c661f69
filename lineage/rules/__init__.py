"""What a published thing must be by its records, one rule set for each kind of record."""
