"""What a cheaper ledger loses of an audit, on the student of a home with a finished demo.

The student's own answers are split by source with its exact ledger. Then each option changes what
is stored, and the same answers are split again:

* bf16 displacements: a source's displacement is rounded, and rounding takes the difference;
* longer segments: several segments become one straight line;
* replay: displacements are computed again from the kept rollouts and weights;
* a sketch: of each displacement only K numbers are kept, sums of weights with random signs
  (count sketch, 0902.2206), from which products with a gradient are estimated.

With adapters the run is another one, so there is no exact split to compare with. What an option
leaves unexplained is the change of an answer that its parts do not add up to, relative to the sizes
of the parts; it is there for adapters and for weights.

Shapes: P parts, B behaviors, W weights of the model, K numbers of a sketch. In nats.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.attribution.demo import STUDENT, answers
from benchmarks.platform.demo_seeds import PROGRAM
from tasks.attribution.behavior import Behavior
from tasks.attribution.opened import open_models
from tasks.attribution.path_integral import Batch, Split, split
from tasks.attribution.subject import find_subject
from tasks.attribution.trajectory import Stretch, Weights, stretches
from tasks.ledger.reader import Ledger
from tasks.ledger.split_adamw import RESERVED, ROUNDING
from tasks.mopd.counterfactual.recompute import recompute_spec, replay_round
from tasks.platform.step_runner import StepRunner

SKETCHES = (1 << 10, 1 << 14, 1 << 17)
MERGED = (2, 4)
"""Segments that become one."""
ADAPTER_RANK = 16
ADAPTED = (
    "--publish-as=adapted",
    "--controls=none",
    "--gate-prompts-per-domain=0",
    "--learning-rate=0.003",
)
"""Options of the consolidation with adapters; they learn at ten times the rate of all weights."""
NODES = (0.2113248654, 0.7886751346)
"""Gauss-Legendre points of order 2 between 0 and 1; each has half the weight."""


def options(of_a_domain: int = 4) -> dict[str, Any]:
    """Return each option's loss against the exact ledger, in the home that is set."""
    runner = StepRunner()
    subject = find_subject(runner, STUDENT)
    models = open_models(runner, subject)
    behaviors = answers(runner, of_a_domain, subject.checkpoint)
    course = list(stretches(subject.ledger, models.start))

    def table(walked: Sequence[Stretch]) -> Split:
        return split(behaviors, models.policy, lambda: walked)

    exact = table(course)
    sources = [part for part in exact.parts if part not in RESERVED]
    spec, _ = recompute_spec(runner, STUDENT)
    replayed = Ledger.open(runner.store.tree(replay_round(runner, spec).digest))
    changed = {
        "bf16 displacements": [halved(each, sources) for each in course],
        **{f"{n} segments in one": merged(course, n) for n in MERGED},
        "replay": list(stretches(replayed, models.start)),
    }
    of_exact, sizes_B = _by_source(exact, sources), exact.table().abs().sum(0)
    rows = {"all displacements": unexplained(exact), "adapters": _adapted(runner, behaviors)}
    for name, walked in changed.items():
        found = table(walked)
        rows[name] = loss(_by_source(found, sources), of_exact, sizes_B) | unexplained(found)
    for count in SKETCHES:
        shares_SB = _sketched(exact, course, sources, count)
        rows[f"sketch of {count:,} numbers"] = loss(shares_SB, of_exact, sizes_B)
    return {
        "weights": sum(tensor.numel() for tensor in models.start.values()),
        "behaviors": len(behaviors),
        "segments": len(course),
        "adapter_rank": ADAPTER_RANK,
        "options": rows,
    }


def _adapted(runner: StepRunner, behaviors: Sequence[Behavior]) -> dict[str, float]:
    """Return what is unexplained in a student of the same teachers that trained adapters alone."""
    words = ("run", "consolidation", *ADAPTED, f"--settings=student_adapter_rank={ADAPTER_RANK}")
    subprocess.run([sys.executable, "-c", PROGRAM, *words], check=True)
    subject = find_subject(runner, "student.adapted@latest")
    models = open_models(runner, subject)
    course = list(stretches(subject.ledger, models.start))
    return unexplained(split(behaviors, models.policy, lambda: course))


def unexplained(found: Split) -> dict[str, float]:
    """Return the mean and the largest rest of the behaviors, relative to the sizes of all parts."""
    rests_B = found.residuals()
    return {
        "mean_unexplained": float(f"{rests_B.mean():.2e}"),
        "largest_unexplained": float(f"{rests_B.max():.2e}"),
    }


def loss(found_SB: Tensor, exact_SB: Tensor, sizes_B: Tensor) -> dict[str, float]:
    """Return how far shares are from the exact ones, relative to the sizes of all parts.

    ``same_teacher`` is the share of behaviors with the same largest source.
    """
    errors_SB = (found_SB - exact_SB).abs() / sizes_B
    same_B = found_SB.argmax(0) == exact_SB.argmax(0)
    return {
        "mean_error": float(f"{errors_SB.mean():.2e}"),
        "largest_error": float(f"{errors_SB.max():.2e}"),
        "same_teacher": round(float(same_B.float().mean()), 3),
    }


def halved(stretch: Stretch, sources: Sequence[str]) -> Stretch:
    """Return the segment with each source's displacement in bf16; rounding takes the rest."""
    parts = dict(stretch.parts)
    for source in sources:
        parts[source] = {name: d.bfloat16().float() for name, d in stretch.parts[source].items()}
    others = [part for name, part in parts.items() if name != ROUNDING]
    parts[ROUNDING] = {
        name: whole - torch.stack([part[name] for part in others]).sum(0)
        for name, whole in stretch.change.items()
    }
    return Stretch(_moving(stretch, ROUNDING), stretch.start, parts)


def _moving(stretch: Stretch, part: str) -> Any:  # noqa: ANN401 - the ledger's own segment
    """Return the segment, in which a part counts as one that moved."""
    norms = {**stretch.segment.norms, part: max(stretch.segment.norms[part], 1e-30)}
    return stretch.segment.model_copy(update={"norms": norms})


def merged(course: Sequence[Stretch], count: int) -> list[Stretch]:
    """Return the run with each ``count`` neighboring segments as one straight line."""
    made = []
    for first in range(0, len(course), count):
        few = course[first : first + count]
        norms = {part: sum(s.segment.norms[part] for s in few) for part in few[0].parts}
        segment = few[0].segment.model_copy(
            update={"last_step": few[-1].segment.last_step, "norms": norms}
        )
        parts = {part: _sum([each.parts[part] for each in few]) for part in few[0].parts}
        made.append(Stretch(segment, few[0].start, parts))
    return made


def _sum(moves: Sequence[Weights]) -> dict[str, Tensor]:
    return {name: torch.stack([move[name] for move in moves]).sum(0) for name in moves[0]}


def _by_source(found: Split, sources: Sequence[str]) -> Tensor:
    """Return each source's share of each behavior; a source that is missing has none."""
    table_PB = found.table()
    places = {part: place for place, part in enumerate(found.parts)}
    return torch.stack([table_PB[places[source]] for source in sources])


def _sketched(
    exact: Split, course: Sequence[Stretch], sources: Sequence[str], count: int
) -> Tensor:
    """Return the shares by products of sketches, along the exact path of the weights."""
    sketch = sketcher(course[0].start, count)
    columns = []
    for batch in exact.batches:
        shares_SB = torch.zeros(len(sources), len(batch.encoded.behaviors))
        for stretch in course:
            moved_SK = torch.stack([sketch(stretch.parts[source]) for source in sources])
            for node in NODES:
                gradients_BK = torch.stack(
                    [sketch(each) for each in _gradients(batch, stretch.at(node))]
                )
                shares_SB += moved_SK @ gradients_BK.T / len(NODES)
        columns.append(shares_SB)
    return torch.cat(columns, dim=1)


def _gradients(batch: Batch, weights: Weights) -> Iterable[Mapping[str, Tensor]]:
    """Yield the gradient of each behavior's log-probability."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
    totals_B = batch.encoded.total(batch.scorer.with_gradient(leaves))
    for place in range(len(totals_B)):
        found = torch.autograd.grad(totals_B[place], list(leaves.values()), retain_graph=True)
        yield dict(zip(leaves, found, strict=True))


def sketcher(like: Weights, count: int, seed: int = 0) -> Callable[[Weights], Tensor]:
    """Return the function from numbers of the weights' shapes to their sketch [K].

    The product of two sketches has the exact product as its mean over seeds.
    """
    generator = torch.Generator().manual_seed(seed)
    total = sum(tensor.numel() for tensor in like.values())
    places_W = torch.randint(count, (total,), generator=generator)
    signs_W = 2.0 * torch.randint(2, (total,), generator=generator) - 1.0

    def sketch(numbers: Weights) -> Tensor:
        flat_W = torch.cat([numbers[name].reshape(-1) for name in like])
        return torch.zeros(count).index_add_(0, places_W, signs_W * flat_W)

    return sketch
