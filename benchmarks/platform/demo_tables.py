"""The tables of the demo's scores over seeds, from the committed scorecards."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.common.markdown import estimate, result, table

DOMAINS = ("math", "code", "agent", "instruct")
SHOWN_SEED = "0"
"""The seed of the matrix."""
OFF_POLICY = "off_policy_sft"
NOT_RUN = "not run"
"""In the place of a score of a control that a seed's run did not have."""
MERGES = {
    "parameter_average": "parameter average",
    "task_arithmetic": "task arithmetic",
    OFF_POLICY: "off-policy SFT",
    "student": "**student (MOPD)**",
}
METHODS = {
    "fork_point": "fork point",
    "teacher": "teacher",
    "student": "**student (MOPD)**",
    "parameter_average": "parameter average",
    "task_arithmetic": "task arithmetic",
    OFF_POLICY: "off-policy SFT",
}


def demo_merges() -> str:
    """Return by seed the share of the teachers' gain that each merge keeps."""
    return table(
        ("seed", *MERGES.values(), "commit"),
        (
            (
                seed,
                *(score(_card(case)["overall"]["normalized"], name, 3) for name in MERGES),
                case["commit"][:7],
            )
            for seed, case in _seeds()
        ),
    )


def demo_matrix() -> str:
    """Return how each teacher of the shown seed scores in every domain."""
    case = dict(_seeds())[SHOWN_SEED]
    matrix = _card(case)["matrix"]

    def cell(teacher: str, domain: str) -> str:
        mean = f"{matrix[teacher][domain]['mean']:.2f}"
        return f"**{mean}**" if teacher == domain else mean

    return table(
        ("teacher", *DOMAINS),
        ((teacher, *(cell(teacher, domain) for domain in DOMAINS)) for teacher in DOMAINS),
    )


def demo_scores() -> str:
    """Return for each seed what every method scores in every domain."""
    return "\n".join(
        f"Seed {seed} (commit `{case['commit'][:7]}`):\n\n"
        + table(
            ("", *DOMAINS, "overall"),
            (
                (shown, *(score(_card(case)[d], name, 2) for d in (*DOMAINS, "overall")))
                for name, shown in METHODS.items()
            ),
        )
        for seed, case in _seeds()
    )


def score(scores: Mapping[str, Any], name: str, digits: int) -> str:
    """Return a method's score with its limits, or that it was not run."""
    return estimate(scores[name], digits) if name in scores else NOT_RUN


def peak_memory() -> str:
    """Return the most memory that all processes of a seed took."""
    return f"{max(case['peak_memory_bytes'] for _, case in _seeds()) / 2**30:.2f} GiB"


def _seeds() -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(result("demo")["seeds"].items())


def _card(case: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = case["scorecard"]
    return found


DEMO_FIGURES: dict[str, Callable[[], str]] = {"demo_peak_memory": peak_memory}
"""What stands inside a line, by name."""
DEMO: dict[str, Callable[[], str]] = {
    "demo_merges": demo_merges,
    "demo_matrix": demo_matrix,
    "demo_scores": demo_scores,
}
