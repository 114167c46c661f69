"""Feeds every reader of another team's data 10,000 damaged documents; writes what became of them.

The readers, the limits and the damage are those of ``tests/fuzz``, whose slow tests feed the same
inputs. A violation (an error that is not the project's, too much time or memory) ends the run, and
the same command goes on behind the readers that are done.
"""

import importlib
import json
import time
from dataclasses import asdict

from benchmarks.common.circumstances import facts, options, write

FUZZ = "tests.support.fuzz"
FAMILIES = ("records", "companions", "checkpoints", "rollouts")


def main() -> None:
    """Feed and write the result; readers that it holds already are not fed again."""
    given, circumstances = options(__doc__), facts()
    fuzzing, limited = (
        importlib.import_module(f"{FUZZ}.{name}") for name in ("fuzzing", "limited")
    )
    figures: dict[str, object] = {
        "inputs_of_each_seed": fuzzing.PART,
        "seeds": list(fuzzing.SEEDS),
        "memory_above_start_bytes": limited.MEMORY_BYTES,
        "cpu_seconds_of_an_input": limited.CPU_SECONDS,
        "target": "no violation, and a fifth past the first validation",
    }
    known = json.loads(given.out.read_text())["figures"]["readers"] if given.out.exists() else {}
    for family in FAMILIES:
        parsers = importlib.import_module(f"{FUZZ}.{family}").PARSERS
        for name in parsers:
            if name in known:
                continue
            began, total = time.monotonic(), limited.Counts()
            with limited.Limited(family) as process:
                for seed in fuzzing.SEEDS:
                    total.join(fuzzing.fuzz(process, parsers, name, fuzzing.PART, seed))
            known[name] = {**asdict(total), "seconds": round(time.monotonic() - began, 1)}
            write(given.out, {**figures, "readers": known}, circumstances)


if __name__ == "__main__":
    main()
