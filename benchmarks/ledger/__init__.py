"""What a ledger says of a real model: rounding, saving, audits, and the size of a segment."""
