"""The instruct team's teacher: it repeats the question in the required format."""
