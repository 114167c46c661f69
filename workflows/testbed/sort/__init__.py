"""Team sort: one pass of bubble sort over seven or eight letters, in two alphabets."""
