"""The instruct team's teacher: the question said back, in the format that was asked for."""
