"""A teacher that another trainer made: imported, released, planned, and merged like any other."""

import json
import shutil

import pytest
import torch

from lineage.artifacts import Release, read_manifest
from lineage.compatibility.checks import Finding
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.gate.plan import propose
from tasks.model.files import load_policy, save_policy
from tasks.platform.step_runner import StepRunner
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import PACKAGE, Contents, climb, kinds

pytestmark = pytest.mark.medium

TEAM = f"{PACKAGE}.shout"


@pytest.fixture
def foreign(fork_point, teams_on_path, tmp_path):
    return near_the_fork_point(tmp_path / "verl")


def near_the_fork_point(folder):
    """Write a checkpoint near the home's fork point, as another trainer leaves it."""
    store = open_store()
    start = Registry(store).resolve("fork-point@released")
    policy = load_policy(store.tree(start.digest))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=generator)
    return save_policy(policy, folder)


def imported(source, *more):
    return provost("teacher", "import", str(source), "--team", TEAM, *more)


def promoted():
    provost("teacher", "promote", "shout@1", "--by", "me", "--reason", "no talent, as expected")


def test_it_becomes_a_release_that_says_what_is_unknown(foreign):
    before = Contents.now().records
    said = imported(foreign, "--declare", "trainer=verl 0.9.0", "--declare", "seed=7")
    assert "teacher.shout@1" in said
    made = kinds(Contents.now().records - before)
    assert (made["import"], made["release"], made["evaluation"]) == (1, 1, 2)
    store = open_store()
    release = read_manifest(store, Registry(store).resolve("shout@1").digest, Release)
    assert (release.kind, release.ladder, release.sft) == ("imported", (), None)
    assert release.precursor == release.fork_point
    assert release.declared.unknown == ["code", "steps", "sft_data", "rl_data"]
    assert release.code_version == "unknown"
    shown = " ".join(provost("lineage", "show", "shout@1").split())
    assert "team-shout unknown: code" in shown
    document = json.loads(provost("lineage", "show", "shout@1", "--json"))
    [node] = [each for each in document["records"] if each["kind"] == "import"]
    assert node["unknown"] == ["code", "rl_data", "sft_data", "steps"]
    provost("lineage", "verify", "shout@1")


def test_every_plan_with_it_says_what_is_unknown(foreign):
    imported(foreign, "--declare", "code=3f2ab1c")
    promoted()
    plan = propose(StepRunner(), ["shout@1"], "fork-point@released")
    notes: list[Finding] = [each for each in plan.notes if each.severity != "note"]
    assert [each.code for each in notes] == ["imported-teacher"]
    assert "code 3f2ab1c" in notes[0].evidence
    assert "trainer, seed, steps, sft_data, rl_data" in notes[0].evidence


def test_a_folder_of_files_takes_the_place_of_a_team(teachers, teams_on_path, tmp_path):
    foreign = near_the_fork_point(tmp_path / "verl")
    store = open_store()
    release = read_manifest(store, Registry(store).resolve("shout@1").digest, Release)
    folder = tmp_path / "team"
    (folder / "prompts").mkdir(parents=True)
    shutil.copy(teams_on_path / PACKAGE / "shout" / "environment.py", folder)
    for name, data in (
        ("train", release.prompts.train),
        ("validation", release.prompts.validation),
        ("evaluation", release.evaluation),
        ("demonstrations", release.sft.data),
    ):
        (folder / "prompts" / f"{name}.jsonl").write_bytes(store.get_bytes(data.digest))
    command = ("teacher", "import", str(foreign), "--team", str(folder))
    assert "--owner, --license, --version" in refusal(*command, "--domain", "shout")
    facts = ("--domain", "shout", "--owner", "team-shout", "--license", "MIT", "--version", "2")
    secret = tmp_path / "careful.txt"
    secret.write_text(" Be loud.\n")
    provost(*command, *facts, "--max-new-tokens", "4", "--system-prompt", str(secret))
    second = read_manifest(store, Registry(store).resolve("shout@2").digest, Release)
    assert (second.kind, second.license, second.team_version) == ("imported", "MIT", "2")
    assert second.system_prompt == "Be loud."
    for text, words in (("", "is empty"), ("<|im_end|>", "reserves"), ("a " * 90, "does not fit")):
        secret.write_text(text)
        said = refusal(*command, *facts, "--max-new-tokens", "4", "--system-prompt", str(secret))
        assert words in said
    (folder / "prompts" / "evaluation.jsonl").unlink()
    assert "evaluation.jsonl" in refusal(*command, *facts, "--max-new-tokens", "4")


def test_what_the_command_cannot_use_is_refused_and_nothing_is_written(foreign, fork_point):
    before = Contents.now()
    command = ("teacher", "import", str(foreign), "--team", TEAM)
    for declared in ("seed", "seed=", "color=red"):
        assert repr(declared) in refusal(*command, "--declare", declared)
    assert "team-shout" in refusal(*command, "--owner", "team-other")
    assert Contents.now() == before


@pytest.mark.slow
def test_it_is_merged_audited_exported_and_recalled_like_any_other(foreign, tmp_path):
    imported(foreign)
    promoted()
    climb(f"{PACKAGE}.whisper")
    order = ("--teachers", "shout@1,whisper@1", "--gate-prompts-per-domain", "8")
    plan = refusal("run", "consolidation", "--preset", "smoke", *order)
    assert "teacher.shout@1 [gain-unclear]" in plan
    assert "contradicted" not in plan
    digest = plan.partition("provost waive ")[2].split()[0]
    waived = provost("waive", digest, "--reason", "to see it run")
    waiver = next(word for word in waived.split() if word.startswith("sha256:"))
    merged = ("run", "consolidation", "--preset", "smoke", *order, "--waivers", waiver)
    assert "student.smoke@1 is sha256:" in provost(*merged)
    question = ("--prompt", "say it", "--response", "ab", "--out", str(tmp_path / "audit"))
    provost("audit", "student.smoke@1", *question)
    shares = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert "shout" in json.dumps(shares)
    provost("surgery", "student.smoke@1", "--without", "shout")
    provost("lineage", "verify", "student.smoke@1")
    provost("student", "export", "student.smoke@1", str(tmp_path / "export"))
    assert (tmp_path / "export" / "README.md").is_file()
    provost("teacher", "export", "shout@1", str(tmp_path / "teacher"))
    said = provost("teacher", "recall", "shout@1", "--reason", "leak", "--by", "me", "--yes")
    assert "student.smoke@1" in said
