"""What the benchmarks share. ``figures`` writes the tables of the pages from the result files."""
