"""``python -m benchmarks.gate``: see ``cases``; with the word ``fresh``, see that package."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["fresh"]:
        from benchmarks.gate.fresh.__main__ import main as fresh

        fresh(sys.argv[2:])
    else:
        from benchmarks.gate.cases import main

        main()
