"""Measures attribution against planted traits and against retraining without each teacher.

``train`` makes the truth: sets of teachers, a student of each with its ledger, and that student
again without each teacher and without random halves of them, all else held fixed. Each model is one
case, and a case that is there is not made again. ``measure`` asks every estimator about every
behaviour and writes the tables.

    python benchmarks/attribution.py train --runs runs/attribution
    python benchmarks/attribution.py measure --runs runs/attribution
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from _attribution_training import distil, make_fork, make_teacher
from _attribution_world import TEACHERS, World

NUM_SETS, NUM_SEEDS, NUM_SUBSETS = 5, 2, 2


def main() -> None:
    """Do one of the two parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("train", "measure"))
    parser.add_argument("--runs", type=Path, default=Path("runs/attribution"))
    parser.add_argument("--sets", type=int, nargs="+", default=list(range(NUM_SETS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(NUM_SEEDS)))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.part == "train":
        for number in arguments.sets:
            _train(number, arguments.seeds, arguments.runs / f"set-{number}")


def masks(number: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield by name who is masked: nobody, each teacher alone, random halves of them."""
    yield "full", ()
    for teacher in TEACHERS:
        yield f"no-{teacher}", (teacher,)
    rng = random.Random(f"subsets {number}")
    for place in range(NUM_SUBSETS):
        yield f"half-{place}", tuple(sorted(rng.sample(TEACHERS, len(TEACHERS) // 2)))


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


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
