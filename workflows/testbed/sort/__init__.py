"""Team sort: six to eight letters put into order, one letter at a time, in two alphabets."""
