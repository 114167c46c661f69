"""Measures attribution against planted traits and against retraining without each teacher.

``train`` makes the truth: sets of teachers, a student of each with its ledger, and that student
again without each teacher and without random halves of them, all else held fixed. Each model is one
case, and a case that is there is not made again. ``measure`` asks every estimator about every
behavior, what was asked already excepted, and writes rows and tables; ``tables`` does that alone.
``demo`` measures an audit's cost in a home with a finished demo, for the tables to take up;
``plot`` draws the results.

    python -m benchmarks.attribution train --runs runs/attribution
    python -m benchmarks.attribution demo --runs runs/attribution
    python -m benchmarks.attribution measure --runs runs/attribution
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.attribution import holders
from benchmarks.attribution.asking import Asking
from benchmarks.attribution.demo import demo
from benchmarks.attribution.plot import draw
from benchmarks.attribution.rows import FILE, collected
from benchmarks.attribution.tables import tables
from benchmarks.attribution.training import distil, make_fork, make_teacher
from benchmarks.attribution.world import NUM_SUBSETS, TEACHERS, World, masks
from benchmarks.common.circumstances import facts, write_result
from benchmarks.common.results import write_whole

NUM_SETS, NUM_SEEDS = 7, 2
NUM_RUNS = 1 + len(TEACHERS) + NUM_SUBSETS


def main() -> None:
    """Do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("train", "demo", "measure", "tables", "plot"))
    parser.add_argument("--runs", type=Path, default=Path("runs/attribution"))
    parser.add_argument("--sets", type=int, nargs="+", default=list(range(NUM_SETS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(NUM_SEEDS)))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.part == "train":
        for number in arguments.sets:
            _train(number, arguments.seeds, arguments.runs / f"set-{number}")
        return
    if arguments.part == "demo":
        found = demo() | {"circumstances": facts()}
        (arguments.runs / "demo.json").write_text(json.dumps(found), "utf-8")
        return
    if arguments.part == "plot":
        draw()
        return
    for seed in arguments.seeds if arguments.part == "measure" else ():
        for number in arguments.sets:
            _ask(number, seed, arguments.runs / f"set-{number}")
    rows = collected(arguments.runs, arguments.sets) | {"circumstances": facts()}
    write_whole(FILE, rows)
    write_result("attribution", "cpu", tables(rows))


def _train(number: int, seeds: list[int], folder: Path) -> None:
    world = World(number)
    if not (folder / "fork" / "model.safetensors").exists():
        make_fork(world, number, folder / "fork")
    for teacher in TEACHERS:
        if not (folder / teacher / "model.safetensors").exists():
            make_teacher(world, number, teacher, folder / "fork", folder / teacher)
            _say(f"set {number}: {teacher}")
    for seed in seeds:
        for name, masked in masks(number):
            out = folder / f"seed-{seed}" / name
            if not (out / "run.json").exists():
                seconds = distil(world, folder, seed, masked, out)
                _say(f"set {number} seed {seed} {name}: {seconds:.1f} s")
    holders.make(world, number, folder, folder / "two-holders")


def _ask(number: int, seed: int, folder: Path) -> None:
    """Ask of one student what is not answered yet: of the first seed's all, of others the truth."""
    two, answer = folder / "two-holders", folder / "two-holders.json"
    if not answer.exists():
        answer.write_text(json.dumps(holders.ask(World(number), two)), "utf-8")
    for part in ("truth", "cost", "shorts", "rehearsals", "estimates") if seed == 0 else ("truth",):
        answer = folder / f"seed-{seed}" / f"{part}.json"
        done = sum(1 for run in answer.parent.glob("*/run.json"))
        if answer.exists() or done < NUM_RUNS:
            continue
        asking = Asking(number, seed, folder)
        found: dict[str, object] = getattr(asking, part)()
        if part == "truth":
            found["asked"] = [
                {"table": a.table, "teacher": a.teacher, "name": a.behavior.name}
                | {"response": a.behavior.response, "domain": a.behavior.domain}
                for a in asking.asked
            ]
        answer.write_text(json.dumps(found), "utf-8")
        _say(f"set {number} seed {seed}: {part}")


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
