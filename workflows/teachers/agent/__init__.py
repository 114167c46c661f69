"""The agent team's teacher: sums too large for the head, worked out by calling a calculator."""
