"""The parts of the product that are mutated, and the tests that must notice."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """Modules, how many mutants are drawn from them, and their tests, the fastest first."""

    modules: tuple[str, ...]
    """Patterns of paths below the root."""

    tests: tuple[str, ...]
    """Patterns of paths below the root."""

    count: int = 10

    def files(self) -> list[str]:
        """Return the paths of the modules, sorted."""
        return sorted(_paths(self.modules))

    def test_files(self) -> list[str]:
        """Return the paths of the tests, in the order in which they are run."""
        return _paths(self.tests)


def _paths(patterns: tuple[str, ...]) -> list[str]:
    """Return the files that match, in the order of the patterns, each once.

    Raises:
        ValueError: A pattern matches no file, as after a rename.
    """
    paths: dict[str, None] = {}
    for pattern in patterns:
        matches = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
        if not matches:
            raise ValueError(f"no file matches {pattern}: correct benchmarks/mutants/rooms.py")
        paths.update(dict.fromkeys(match for match in matches if match.endswith(".py")))
    return list(paths)


ROOMS = {
    "objectives": Room(
        (
            "tasks/mopd/losses/*.py",
            "tasks/onpolicy/policy_gradient.py",
        ),
        (
            "tests/mopd/test_loss*.py",
            "tests/mopd/test_token_loss.py",
            "tests/onpolicy/test_policy_gradient.py",
            "tests/onpolicy/test_group_advantage.py",
        ),
        12,
    ),
    "routing": Room(
        (
            "tasks/mopd/routing.py",
            "tasks/mopd/weighting.py",
            "tasks/mopd/objective.py",
            "tasks/mopd/round_models.py",
        ),
        (
            "tests/mopd/test_routing.py",
            "tests/mopd/test_weighting.py",
            "tests/mopd/test_objective.py",
            "tests/mopd/test_scoring_models.py",
        ),
        12,
    ),
    "ledger": Room(("tasks/ledger/*.py",), ("tests/ledger/*.py",), 12),
    "gate": Room(
        (
            *(f"tasks/gate/{name}.py" for name in ("verdict", "measured", "forecast", "plan")),
            "tasks/model/ancestry.py",
        ),
        (
            *(f"tests/gate/test_{name}.py" for name in ("forecast", "judge")),
            "tests/model/test_ancestry.py",
            *(f"tests/gate/test_{name}.py" for name in ("plan", "remedy", "past_outcomes")),
        ),
        12,
    ),
    "store": Room(
        tuple(
            f"lineage/{name}.py"
            for name in (
                "store/store",
                "store/blobs",
                "digest",
                "store/tree",
                "graph/index",
                "trust/journal",
                "operations/gc",
                "registry/registry",
            )
        ),
        (
            "tests/lineage/test_tree_content.py",
            "tests/lineage/test_store*.py",
            "tests/lineage/test_gc.py",
            "tests/lineage/test_registry.py",
            "tests/lineage/test_artifacts.py",
            "tests/lineage/test_record.py",
        ),
        12,
    ),
    "trust": Room(
        tuple(
            f"lineage/{name}.py"
            for name in (
                "dsse",
                "trust/statement",
                "trust/root",
                "trust/chain",
                "launches/waiver",
                "trust/author",
                "operations/verify",
            )
        ),
        (
            "tests/lineage/test_trust_chain.py",
            "tests/lineage/test_verify.py",
            "tests/lineage/test_entitlement.py",
            "tests/lineage/test_two_teams.py",
            "tests/lineage/test_adoption.py",
            "tests/lineage/test_promotion.py",
            "tests/gate/test_waivers*.py",
        ),
        12,
    ),
    "statistics": Room(
        (
            "tasks/statistics.py",
            "tasks/evaluate/scores.py",
            "tasks/evaluate/compare.py",
            "tasks/attribution/estimators.py",
        ),
        (
            "tests/test_statistics.py",
            "tests/evaluate/test_normalized.py",
            "tests/attribution/test_intervals.py",
            "tests/evaluate/test_compare.py",
        ),
        12,
    ),
}
