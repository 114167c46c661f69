"""Measures the ledger of a real model, case by case.

``rounds`` distills two teachers into the model at three learning rates, in fp32 and bf16: rounding
against its prediction, saving, the size of a segment, audit, surgery and verification. A case that
is there is not run again. ``compensated`` compares plain and compensated masters. ``options``
measures what each cheaper ledger loses of an audit, in a home with a finished demo.

    python -m benchmarks.ledger rounds --model SmolLM2-135M-Instruct --home runs/ledger
    python -m benchmarks.ledger compensated --model SmolLM2-135M-Instruct
    PROVOST_HOME=runs python -m benchmarks.ledger options
"""

import argparse
import sys
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts, write_result
from benchmarks.common.process import in_own_process
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.ledger.compensated import compensated
from benchmarks.ledger.options import options
from benchmarks.ledger.real import CASES, measured
from tasks.platform.ranks import rank_device


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("rounds", "compensated", "options"))
    parser.add_argument("--model", type=Path, help="of rounds and compensated")
    parser.add_argument("--home", type=Path, default=Path("runs/ledger"))
    parser.add_argument("--case", choices=[case.name for case in CASES], help="one of the rounds")
    parser.add_argument("--out", type=Path, default=RESULTS / "ledger_rounds.json")
    chosen = parser.parse_args()
    if chosen.part == "options":
        write_result("ledger_options", "cpu", options())
        return
    if chosen.model is None:
        parser.error(f"`{chosen.part}` needs --model")
    if chosen.part == "compensated":
        write_result("ledger_compensated", "cpu", {"rows": compensated(chosen.model)})
        return
    for case in CASES:
        done = load(chosen.out, {"cases": {}})
        if case.name in done["cases"] or chosen.case not in (None, case.name):
            continue
        circumstances = facts(rank_device().type)
        # Each in a process of its own, so that the peak of its memory is its own.
        row = in_own_process(measured, chosen.model.resolve(), chosen.home.resolve(), case)
        done["cases"][case.name] = row | {"circumstances": circumstances}
        write_whole(chosen.out, done)
        sys.stdout.write(as_text(row))


if __name__ == "__main__":
    main()
