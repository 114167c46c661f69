"""``python -m benchmarks.gate``: see ``cases``."""

from benchmarks.gate.cases import main

if __name__ == "__main__":
    main()
