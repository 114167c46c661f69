"""Two teams climb, a consolidation merges them: what is in the store, on the page and in MLflow."""

import html
import json
import re
from collections import Counter

import pytest

from lineage.artifacts import Release, Student, read_manifest
from lineage.compatibility.sketch import read_sketch
from lineage.graph.graph import Lineage
from lineage.mirror import connection
from lineage.mirror.connection import tracking_uri
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store, read_tree
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import ledger_derivation
from tasks.model.files import load_model
from tasks.model.identity import identity_of
from tests.support.tiny_faculty import NUM_EVALUATION, RUNG_STEPS, TEAMS, kinds

METHODS = ("fork_point", "teacher", "student", "parameter_average", "task_arithmetic")
mlflow_of_today = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def store(student):
    return open_store()


@pytest.fixture
def manifest(store):
    return read_manifest(store, Registry(store).resolve("student@released").digest, Student)


@pytest.fixture
def report(store):
    """Return the folder of the report."""
    records = Records(store)
    [made] = [d for d in records.all() if records.read(d).kind == "report"]
    return store.tree(records.output(made).output)


def released(store, team):
    return read_manifest(store, Registry(store).resolve(f"{team}@released").digest, Release)


@pytest.mark.parametrize("team", TEAMS)
def test_a_release_holds_all_that_a_consumer_needs(store, team):
    release = released(store, team)
    assert (release.domain, release.owner, release.kind) == (team, f"team-{team}", "rl")
    assert [rung.step for rung in release.ladder] == RUNG_STEPS
    assert release.ladder[-1].checkpoint == release.checkpoint
    assert release.fork_point.digest == Registry(store).resolve("fork-point@released").digest
    learned = {release.fork_point.digest, release.precursor.digest, release.checkpoint.digest}
    assert len(learned) == 3, "the supervised stage or the climb has not moved the weights"
    bundle = {file.path for file in read_tree(store, release.environment.digest).files}
    assert bundle == {"environment.py", "prompts.py"}
    assert read_sketch(store, release.sft.sketches).num_rows == 8
    assert release.sampling.max_new_tokens == 4


@pytest.mark.parametrize("team", TEAMS)
def test_a_teachers_scorecard_includes_the_fork_point(store, team):
    card = json.loads(store.get_bytes(released(store, team).scorecard.digest))
    assert card["overall"].keys() == {"fork_point", "teacher", "normalized"}
    assert card[team]["teacher"]["n"] == NUM_EVALUATION
    assert card["paired"]["subject"] == "teacher"


def test_training_and_evaluation_prompts_are_disjoint(store):
    for team in TEAMS:
        release = released(store, team)
        asked = [
            {json.loads(row)["id"] for row in store.get_bytes(part.digest).splitlines()}
            for part in (release.prompts.train, release.prompts.validation, release.evaluation)
        ]
        assert [len(part) for part in asked] == [8, 8, NUM_EVALUATION]
        assert len(set.union(*asked)) == 8 + 8 + NUM_EVALUATION


def test_the_plan_names_every_part_by_digest(store, manifest):
    plan = json.loads(store.get_bytes(manifest.plan))
    registry = Registry(store)
    assert plan["fork_point"]["digest"] == registry.resolve("fork-point@released").digest
    for team, planned in zip(TEAMS, plan["teachers"], strict=True):
        entry, release = registry.resolve(f"{team}@released"), released(store, team)
        assert planned["domain"] == team
        assert planned["reference"] == f"teacher.{team}@1"
        assert planned["release"]["digest"] == entry.digest
        assert planned["release"]["record"] == entry.record
        for part, artifact in (
            ("checkpoint", release.checkpoint),
            ("environment", release.environment),
            ("train", release.prompts.train),
            ("validation", release.prompts.validation),
            ("evaluation", release.evaluation),
        ):
            assert planned[part]["digest"] == artifact.digest


def test_the_student_names_its_teachers_and_the_tokens_each_has_scored(store, manifest):
    assert [share.domain for share in manifest.teachers] == list(TEAMS)
    for share in manifest.teachers:
        assert share.release == Registry(store).resolve(f"{share.domain}@released").digest
        assert share.reference == f"teacher.{share.domain}@1"
        # 2 steps of 16 prompts, at least 1 and at most 24 tokens each
        assert 2 * 16 <= share.tokens_routed <= 2 * 16 * 24
    assert manifest.settings["loop"]["num_steps"] == 2
    assert manifest.settings["seed"] == 0


def test_controls_are_recorded_with_role_and_weight(store, manifest):
    assert manifest.controls.keys() == {"parameter_average", "task_arithmetic"}
    records = Records(store)
    average = records.read(manifest.controls["parameter_average"].record)
    assert [(i.role, i.name, i.weight) for i in average.inputs] == [
        ("student", "", None),
        *(("teacher", team, 0.5) for team in TEAMS),
    ]
    arithmetic = records.read(manifest.controls["task_arithmetic"].record)
    assert [(i.role, i.name) for i in arithmetic.inputs] == [
        ("student", ""),
        *(("teacher", team) for team in TEAMS),
        *((role, team) for team in TEAMS for role in ("validation", "environment")),
    ]
    published = records.read(Registry(store).resolve("student@released").record)
    roles = {item.role for item in published.inputs}
    assert {"controls.parameter_average", "controls.task_arithmetic", "plan"} <= roles


def test_task_arithmetic_never_touches_an_evaluation_set(store, manifest):
    records = Records(store)
    todo, taken = [manifest.controls["task_arithmetic"].record], set()
    while todo:
        inputs = records.read(todo.pop()).inputs
        taken |= {item.artifact for item in inputs}
        todo += [item.record for item in inputs if item.record]
    assert len(taken) > 10
    assert not taken & {released(store, team).evaluation.digest for team in TEAMS}


def test_the_student_learns_from_no_evaluation_and_no_validation_set(store, manifest):
    inputs = Records(store).read(manifest.checkpoint.record).inputs
    taken = {item.artifact for item in inputs}
    for team in TEAMS:
        release = released(store, team)
        assert release.prompts.train.digest in taken
        assert not taken & {release.evaluation.digest, release.prompts.validation.digest}


def test_the_report_has_every_method_in_every_domain_with_intervals(report):
    assert {path.name for path in report.iterdir()} == {
        "report.html",
        "scorecard.png",
        "scorecard.json",
    }
    assert (report / "scorecard.png").read_bytes().startswith(b"\x89PNG")
    card = json.loads((report / "scorecard.json").read_text())
    for name in (*TEAMS, "overall"):
        assert card[name].keys() == {*METHODS, "normalized"}
        for method in METHODS:
            score = card[name][method]
            assert 0 <= score["low"] <= score["mean"] <= score["high"] <= 1
            assert score["n"] == NUM_EVALUATION * (len(TEAMS) if name == "overall" else 1)
        assert card[name]["normalized"].keys() == set(METHODS)
    assert card["matrix"].keys() == set(TEAMS)
    assert all(row.keys() == set(TEAMS) for row in card["matrix"].values())


def test_normalized_is_the_share_of_the_teachers_gain(report):
    card = json.loads((report / "scorecard.json").read_text())
    for team in TEAMS:
        fork, teacher = (card[team][name]["mean"] for name in ("fork_point", "teacher"))
        for method in METHODS:
            told = card[team]["normalized"][method]["mean"]
            if told is not None:  # so few prompts seldom tell a teacher's gain from chance
                gained = card[team][method]["mean"] - fork
                assert told == pytest.approx(gained / (teacher - fork))


def test_the_page_is_self_contained_and_draws_the_lineage(report):
    page = (report / "report.html").read_text()
    assert "default-src 'none'" in html.unescape(page)
    assert "<script" not in page
    fetched = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', page)
    assert [link for link in fetched if not link.startswith(("#", "data:image/"))] == []
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for team in TEAMS:
        assert any(f"teacher.{team}" in drawing for drawing in drawings)
    assert any("fork-point" in drawing for drawing in drawings)


def test_everything_verifies_down_to_the_base(store):
    record = Registry(store).resolve("student@released").record
    found = Verifier(store, identity_of).verify(record)
    assert found.problems == []
    reached = {record, *Lineage(store).ancestors(record)}
    assert found.records == len(reached)
    left_out = kinds(set(Records(store).all()) - reached)
    assert left_out.keys() - {"sketch"} == {
        "gate_outcome",
        "launch",
        "ledger",
        "report",
    }, "the ledger stands beside the student, the rest comes after it"


def test_each_step_is_a_record_of_its_kind(student):
    records = Records(open_store())
    teams = len(TEAMS)
    assert kinds(records.all()) == {
        "base": 1,
        "environment": teams,
        "prompts": 3 * teams,
        "demonstrations": teams,
        "sketch": teams,
        "sft": teams,
        "rung": teams,
        "rl": teams,
        "release": teams,
        # Fork point and teacher, at home; then fork point, student, two controls and each teacher
        # everywhere (anew, because a consolidation lets a turn be longer than these teams do).
        "evaluation": 2 * teams + (4 + teams) * teams,
        "scorecard": teams + 1,
        "plan": 2,
        "launch": 1,
        "gate": 1,
        "gate_outcome": 1,
        "mopd": 1,
        "ledger": 1,
        "merge": 2,
        "student": 1,
        "report": 1,
    }


def test_the_ledger_adds_up_to_the_student(store, manifest):
    records = Records(store)
    derivation = ledger_derivation(records.read(manifest.checkpoint.record))
    ledger = Ledger.open(store.tree(records.output(derivation.digest()).output))
    start, end = (
        dict(load_model(store.tree(artifact.digest)).named_parameters())
        for artifact in (manifest.fork_point, manifest.checkpoint)
    )
    found = ledger.check(start, end)
    assert found.change > 0
    assert found.rounding < 1e-4
    assert found.unexplained < 1e-9
    assert set(ledger.parts) == {*TEAMS, "decay", "rounding"}
    assert {row.source for row in ledger.rows()} == set(TEAMS)


@mlflow_of_today
def test_every_step_of_a_consolidation_is_below_its_run(store):
    client = connection.client_of(tracking_uri())
    experiment = client.get_experiment_by_name("consolidation").experiment_id
    runs = client.search_runs([experiment], max_results=1000)
    tops = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name.partition("-")[0] for run in tops] == ["consolidation"]
    steps = [run for run in runs if run not in tops]
    assert {run.data.tags["mlflow.parentRunId"] for run in steps} == {tops[0].info.run_id}
    made = Counter(run.data.tags["provost.kind"] for run in steps)
    # Fork point, student, two controls and two teachers, each in two domains, sampled alike.
    assert (made["evaluation"], made["scorecard"], made["gate_outcome"]) == (12, 1, 1)
    ends = [run.info.end_time for run in steps]
    assert (tops[0].info.status, tops[0].info.end_time) == ("FINISHED", max(ends))


@mlflow_of_today
def test_mlflow_shows_runs_models_with_parents_and_registered_versions(store, manifest):
    client = connection.client_of(tracking_uri())
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    runs = client.search_runs(list(experiments.values()), max_results=1000)
    assert {run.data.tags["provost.record"] for run in runs} == set(Records(store).all())
    assert {run.info.status for run in runs} == {"FINISHED"}

    [found] = client.search_runs([experiments["consolidation"]], "tags.`provost.kind` = 'mopd'")
    run = client.get_run(found.info.run_id)
    parents = {
        client.get_logged_model(item.model_id).tags["provost.digest"]
        for item in run.inputs.model_inputs
    }
    teachers = {released(store, team).checkpoint.digest for team in TEAMS}
    assert parents == {*teachers, manifest.fork_point.digest}
    [output] = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.tags["provost.digest"] == manifest.checkpoint.digest
    history = client.get_metric_history(run.info.run_id, "mopd/reward")
    assert [point.step for point in history] == [1, 2]

    names = {model.name for model in client.search_registered_models()}
    assert names == {"fork-point", "student.general", *(f"teacher.{team}" for team in TEAMS)}
    for name in ("student.general", *(f"teacher.{team}" for team in TEAMS)):
        version = client.get_model_version_by_alias(name, "released")
        assert str(version.version) == "1"
        assert version.tags["provost.digest"] == Registry(store).resolve(name).digest
