"""What the benchmarks share: ``circumstances`` of a figure, and the ``figures`` of the pages."""
