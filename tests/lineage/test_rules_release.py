"""A release that its records contradict is found by verify, whoever wrote and signed it."""

from pathlib import Path

import pytest

from lineage.artifacts import Rung
from lineage.digest import digest_bytes
from lineage.operations.verify import Verifier
from lineage.rules.table import table
from lineage.store.store import FolderStore
from tests.support.families import Family
from tests.support.making import take, write_record

TOKENIZER, TEMPLATE = digest_bytes(b"tokenizer"), digest_bytes(b"template")


def two_climbs(folder):
    store = FolderStore(folder / "store")
    return [Family(store, folder / name, TOKENIZER, TEMPLATE, name) for name in ("math", "code")]


@pytest.fixture(scope="module")
def climbs(tmp_path_factory):
    """Climbs of math and code in a store to which tests add releases alone."""
    return two_climbs(tmp_path_factory.mktemp("climbs"))


@pytest.fixture
def math(climbs):
    return climbs[0]


@pytest.fixture
def code(climbs):
    return climbs[1]


def broken(family, **changed):
    """Return the rules that a release with changed parts breaks, as verify tells them."""
    manifest = family.manifest.model_copy(update=changed)
    record, _ = family.release(manifest)
    found = Verifier(family.store, None).verify(record)
    assert all(problem.subject.startswith("release ") for problem in found.problems)
    return {problem.what.partition("]")[0].removeprefix("[") for problem in found.problems}


def test_a_release_of_one_climb_keeps_every_rule(math):
    assert broken(math) == set()


@pytest.mark.parametrize(
    ("part", "rules"),
    [
        ("checkpoint", {"owner", "ladder", "precursor", "domain", "scorecard"}),
        ("precursor", {"owner", "precursor", "learned"}),
        ("ladder", {"owner", "ladder"}),
        ("environment", {"owner", "domain", "scorecard"}),
        ("prompts", {"owner", "domain"}),
        ("evaluation", {"owner", "domain", "scorecard"}),
        ("sft", {"owner", "domain", "parts", "learned"}),
        ("scorecard", {"owner", "scorecard"}),
        ("owner", {"owner"}),
        ("domain", {"domain", "scorecard"}),
    ],
)
def test_a_part_of_another_climb_breaks_the_rules_that_it_concerns(math, code, part, rules):
    assert broken(math, **{part: getattr(code.manifest, part)}) == rules


def test_a_fork_point_that_nothing_comes_from_is_found(math):
    other = math.artifact("rung")
    assert broken(math, fork_point=other) == {"fork-point", "scorecard"}


def test_rungs_of_another_run_are_found_though_owner_and_data_agree(tmp_path):
    """The same team and data, another seed of the climb."""
    math, _ = two_climbs(tmp_path)
    inputs = [take("start", math.made["precursor"]), take("prompts", math.made["train"])]
    given = {"kind": "rung", "output": math.made["rung"][1], "owner": math.owner, "stop_at": 1}
    made = write_record(math.store, b"", *inputs, **given)
    other = math.artifact("rung").model_copy(update={"record": made[0]})
    ladder = (Rung(step=1, checkpoint=other), math.manifest.ladder[1])
    assert broken(math, ladder=ladder) == {"ladder"}


def test_a_rung_at_another_step_than_it_was_stopped_at_is_found(math):
    ladder = (math.manifest.ladder[0].model_copy(update={"step": 0}), math.manifest.ladder[1])
    assert broken(math, ladder=ladder) == {"ladder"}


def test_a_scorecard_row_measured_on_another_domain_is_found(code):
    row = take("method.fork_point", (code.made["scorecard"]), name="math")
    made = write_record(code.store, b"odd", row, kind="scorecard", output_kind="scorecard")
    found = Verifier(code.store, None).verify(made[0])
    assert [problem.what.partition(" ")[0] for problem in found.problems] == ["[measured]"]


def test_the_table_in_the_docs_is_that_of_the_code():
    assert table() in (Path(__file__).parents[2] / "docs" / "concepts" / "rules.md").read_text()
