"""The math team's teacher: two-digit sums and differences, answered with a number."""
