"""Team sort: six or seven letters put into order, one letter at a time, in two alphabets."""
