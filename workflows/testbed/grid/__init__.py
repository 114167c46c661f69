"""Team grid: a row of colors, read from a picture."""
