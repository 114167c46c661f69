"""Does the gate know, before the merge, which teachers fit? Mismatches on purpose, merged anyway.

Each case is one teacher beside one that fits. It is measured (blind to the records), merged by a
real MOPD round, and the student is graded on held-out prompts. Homes are those of finished demos
(``python -m benchmarks.platform.demo_seeds`` makes them). Cases that are done are not done again; a
killed one goes on.

    python -m benchmarks.gate run --homes runs/seeds --seeds 0 1 2      # about 30 s a case
    python -m benchmarks.gate graded --homes runs/seeds --seeds 0 1 2   # about 70 s of one core
    python -m benchmarks.gate cure --homes runs/seeds                   # what remedies bring back
    python -m benchmarks.gate sampled --homes runs/seeds --seeds 0 1 2  # and its remedies
    python -m benchmarks.gate ancestry --homes runs/seeds --seeds 0 1 2
    python -m benchmarks.gate calibrate                                 # fits the regression
    python -m benchmarks.gate table                                     # and docs/pictures

The rows of all cases are in results/gate_rows.json.gz; ``table`` writes their summary, gate.json.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import Row, load, write_whole
from benchmarks.gate import conventions, mismatch
from benchmarks.gate.outcome import merged
from lineage.artifacts import Artifact
from tasks.contracts.handover import PlannedTeacher
from tasks.gate.measured import ProbeSettings
from tasks.gate.plan import make_plan
from tasks.gate.probe import ProbedTeacher, measure
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts

DOMAINS = ("math", "code", "agent", "instruct")
SHARES = (0.1, 0.5, 1.0)
CONVENTION_SHARES = (1.0, 0.95)
"""Of the teacher's training answers; with a tenth of them as ever hardly anything is lost."""
NOISE = {"math": 0.05, "code": 0.1, "agent": 0.2, "instruct": 0.4}


OTHER_BASE = ", other base"
PROBE = ProbeSettings()


@dataclass(frozen=True)
class Case:
    """One teacher in one family."""

    seed: int
    kind: str
    domain: str
    level: float = 0.0

    @property
    def name(self) -> str:
        """What the results call it."""
        level = f" {self.level:g}" if self.level else ""
        return f"{self.kind}{level}/{self.domain}/{self.seed}"


def cases(seed: int) -> Iterator[Case]:
    """Yield a family's cases, the cheap ones first."""
    for domain in DOMAINS:
        yield Case(seed, "same fork point", domain)
        yield Case(seed, "swapped", domain)
        yield Case(seed, "noise", domain, NOISE[domain])
    for domain in DOMAINS[seed % 2 :: 2]:
        yield Case(seed, "other template", domain)
        yield Case(seed, "over-trained", domain, 300.0)
    yield Case(seed, "uniform", DOMAINS[seed % 4])
    for domain in DOMAINS[1 - seed % 2 :: 2]:
        yield Case(seed, "SFT teacher", domain)
        yield Case(seed, "other base", domain)
    for place, share in enumerate(SHARES):
        yield Case(seed, "sibling SFT", DOMAINS[(seed + place) % 4], share)
        yield Case(seed, "sibling SFT", DOMAINS[(seed + place + 1) % 4], share)


def graded_cases(seeds: Sequence[int]) -> Iterator[Case]:
    """Yield teachers of another convention, the clearest first, through all families in turn."""
    for share in CONVENTION_SHARES:
        for seed in seeds:
            yield Case(seed, conventions.LAMBDA, "code", share)
        for seed in seeds if share == 1.0 else ():
            yield Case(seed, conventions.PADDED, "agent", share)
        for seed in seeds[:2] if share == 1.0 else ():
            yield Case(seed, f"{conventions.LETTER}{OTHER_BASE}", "code", share)


def main() -> None:
    """Do what is not done yet, or show what is."""
    actions: dict[str, Callable[[argparse.Namespace], None]] = {
        "run": _run_all,
        "graded": lambda told: _run(told, graded_cases(told.seeds)),
        "cure": _cure,
        "sampled": _sampled,
        "ancestry": _ancestry,
        "calibrate": _calibrate,
        "table": _show,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=list(actions))
    parser.add_argument("--homes", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS / "gate_rows.json.gz")
    told = parser.parse_args()
    actions[told.action](told)


def _run_all(told: argparse.Namespace) -> None:
    for seed in told.seeds:
        _run(told, cases(seed))


def _cure(told: argparse.Namespace) -> None:
    from benchmarks.gate.remedies import run_remedies  # noqa: PLC0415

    run_remedies(told.results, told.homes)


def _sampled(told: argparse.Namespace) -> None:
    from benchmarks.gate.sampled import run_sampled  # noqa: PLC0415

    for seed in told.seeds:
        run_sampled(told.results, family_at(told.homes, seed), seed)


def _ancestry(told: argparse.Namespace) -> None:
    from benchmarks.gate.ancestry import run_ancestry  # noqa: PLC0415

    for seed in told.seeds:
        run_ancestry(told.results, family_at(told.homes, seed), seed)


def _calibrate(told: argparse.Namespace) -> None:
    from benchmarks.gate.fitting import calibrate  # noqa: PLC0415

    calibrate(read(told.results))
    _show(told)


def _show(told: argparse.Namespace) -> None:
    from benchmarks.gate.picture import draw  # noqa: PLC0415
    from benchmarks.gate.tables import figures, table  # noqa: PLC0415

    results = read(told.results)
    write_whole(told.results.parent / "gate.json", figures(results))
    sys.stdout.write(table(results))
    draw(results)


def _run(told: argparse.Namespace, chosen: Iterable[Case]) -> None:
    for case in chosen:
        if case.name in read(told.results)["cases"]:
            continue
        started = time.monotonic()
        family = family_at(told.homes, case.seed)
        own = family.teacher(case.domain)
        checkpoint = checkpoint_of(family, case, own)
        measured = probe(family, own, checkpoint)
        outcome = merged(family, own, checkpoint)
        found = read(told.results)  # again: another process may have added one meanwhile
        found["cases"][case.name] = {
            "seed": case.seed,
            "kind": case.kind,
            "domain": case.domain,
            "level": case.level,
            "measured": measured,
            "outcome": vars(outcome),
            "seconds": round(time.monotonic() - started, 1),
            "circumstances": facts(),
        }
        write_whole(told.results, found)
        sys.stderr.write(f"{case.name}: {outcome.normalized:.3f}\n")


def checkpoint_of(family: mismatch.Family, case: Case, own: PlannedTeacher) -> Artifact:
    """Return the checkpoint that a case puts in the teacher's place."""
    beside = DOMAINS[(DOMAINS.index(case.domain) + 1) % len(DOMAINS)]
    start = family.plan.student
    convention = case.kind.removesuffix(OTHER_BASE)
    if convention in conventions.CONVENTIONS:
        return rungs_of(family, case, own)[-1]
    makers: dict[str, Callable[[], Artifact]] = {
        "same fork point": lambda: own.checkpoint,
        "swapped": lambda: family.teacher(beside).checkpoint,
        "noise": lambda: mismatch.noisy(family, own, case.level),
        "other template": lambda: mismatch.other_template(family, own),
        "over-trained": lambda: mismatch.over_trained(family, own, int(case.level)),
        "uniform": lambda: mismatch.uniform(family, own),
        "SFT teacher": lambda: mismatch.supervised(family, start, own, case.kind),
        "other base": lambda: mismatch.supervised(
            family, mismatch.foreign_fork(family), own, case.kind
        ),
        "sibling SFT": lambda: mismatch.supervised(
            family, mismatch.sibling_fork(family, case.level), own, f"sibling {case.level}"
        ),
    }
    return makers[case.kind]()


def rungs_of(family: mismatch.Family, case: Case, own: PlannedTeacher) -> list[Artifact]:
    """Return the ladder of a teacher of another convention; it is the last rung."""
    foreign = case.kind.endswith(OTHER_BASE)
    start = mismatch.foreign_fork(family) if foreign else family.plan.student
    convention = case.kind.removesuffix(OTHER_BASE)
    return conventions.conventional(family, start, own, convention, case.level)


def probe(
    family: mismatch.Family,
    own: PlannedTeacher,
    checkpoint: Artifact,
    settings: ProbeSettings = PROBE,
) -> dict[str, object]:
    """Measure the case's teacher beside the family's others, blind to all records."""
    store = family.runner.store
    subjects = [
        ProbedTeacher(
            name=teacher.name,
            domain=teacher.domain,
            folder=store.tree(_in_place(teacher, own, checkpoint).digest),
            prompts=stored_prompts(store, teacher.validation),
            environment=teacher.environment,
        )
        for teacher in (own, *(t for t in family.plan.teachers if t is not own))
    ]
    start = store.tree(family.plan.student.digest)
    found = measure(store, start, subjects, settings)
    return found.teachers[0].model_dump(mode="json") | {"probe_seconds": found.seconds}


def _in_place(teacher: PlannedTeacher, own: PlannedTeacher, checkpoint: Artifact) -> Artifact:
    """Return what stands in a teacher's place; where two paths were swapped, in both."""
    if teacher is own:
        return checkpoint
    return own.checkpoint if teacher.checkpoint == checkpoint else teacher.checkpoint


def family_at(homes: Path, seed: int) -> mismatch.Family:
    """Return the finished demo of a seed; its home is where everything is put from now on."""
    home = homes / str(seed)
    if not (home / "store").is_dir():
        raise SystemExit(
            f"{home} is no home of a finished demo: make it with "
            "`python -m benchmarks.platform.demo_seeds "
            f"--seeds {seed} --homes {homes}`, or name another folder with --homes"
        )
    os.environ["PROVOST_HOME"] = str(home.absolute())
    return _family(home)


@cache
def _family(_home: Path) -> mismatch.Family:
    runner = StepRunner()
    plan = make_plan(runner, [f"{name}@released" for name in DOMAINS], "fork-point@released")
    return mismatch.family_of(runner, plan)


def read(path: Path) -> Row:
    """Return the results so far: rows of each part by name."""
    empty: Row = {"cases": {}, "cured": {}, "sampled": {}, "remedies": {}, "ancestry": {}}
    return empty | load(path, {})


if __name__ == "__main__":
    main()
