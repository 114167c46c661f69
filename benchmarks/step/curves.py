"""One point of a cost curve, in a process of its own so that its peak memory is its own.

python benchmarks/_step_curves.py '{"rollouts": 64}' full_vocabulary
"""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields

import torch

from benchmarks.common.results import Row
from benchmarks.step.case import Case, Scene
from benchmarks.step.ours import Ours
from benchmarks.step.phases import Seconds, backward_timed
from tasks.mopd.settings import Divergence

STEPS, MIB = 3, 1 << 20


def point(case: Case, divergence: Divergence = Divergence.FULL_VOCABULARY) -> Row:
    """Return a case's seconds by phase and its memory, measured in a fresh process."""
    command = [sys.executable, "-m", __spec__.name, json.dumps(asdict(case)), divergence]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Row = json.loads(child.stdout)
    return found


CURVES: dict[str, dict[str, Case]] = {
    "length": {str(n): Case(rollouts=64, new_tokens=n) for n in (16, 32, 64, 128, 256)},
    "batch": {str(n): Case(rollouts=n) for n in (16, 64, 256, 1024)},
    "teachers": {str(n): Case(rollouts=192, num_teachers=n) for n in (1, 2, 4, 8, 12)},
    "vocabulary": {
        str(1 << n): Case(rollouts=32, vocabulary_size=1 << n) for n in (10, 12, 14, 15, 16, 17)
    },
}
"""Of each curve the points, by what is written below them."""


def _measure(case: Case, divergence: Divergence) -> Row:
    scene = Scene(case)
    ours = Ours(scene, divergence=divergence)
    before = _peak(case)
    with backward_timed(ours.phases):
        steps = [ours.step() for _ in range(1 + STEPS)][1:]
    best: Seconds = min(steps, key=lambda seconds: sum(cpu for _, cpu in seconds.values()))
    return {
        "tokens": sum(len(ids) for ids in _prompts(scene, case)) + case.rollouts * case.new_tokens,
        "new_tokens": case.rollouts * case.new_tokens,
        "processor_seconds": {name: round(cpu, 4) for name, (_, cpu) in best.items()},
        "wall_seconds": {name: round(wall, 4) for name, (wall, _) in best.items()},
        "peak_mib": round(_peak(case) / MIB, 1),
        "peak_before_first_step_mib": round(before / MIB, 1),
    }


def _prompts(scene: Scene, case: Case) -> Iterator[list[int]]:
    for prompt in scene.prompts("any")[: case.rollouts]:
        yield scene.chat.prompt([vars(message) for message in prompt.messages])


def _peak(case: Case) -> int:
    """Return the largest memory so far: of the process, or of tensors on a GPU."""
    if torch.device(case.device).type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    """Measure the case that the first argument describes; print JSON."""
    told = json.loads(sys.argv[1])
    case = Case(**{field.name: told[field.name] for field in fields(Case) if field.name in told})
    sys.stdout.write(json.dumps(_measure(case, Divergence(sys.argv[2]))))


if __name__ == "__main__":
    main()
