"""What MLflow's own pages show: from a student one reaches all that it was made from."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.digest import digest_bytes
from lineage.mirror import connection, showing
from lineage.mirror.run_view import area_of, milliseconds
from lineage.records.derivation import FlyteRun
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from tests.support.consolidated import COMMIT, TEAMS, Consolidated
from tests.support.making import runs, take, write_record

LATER = "2026-11-21T00:0{}:00+00:00"
"""A time some minutes after that of the other records."""
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory, mlflow_database):
    """The address of an MLflow of its own."""
    database = tmp_path_factory.mktemp("pages") / "mlflow.db"
    database.write_bytes(mlflow_database.read_bytes())
    return f"sqlite:///{database}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory, place):
    """A consolidation that MLflow shows; no test of it changes anything."""
    folder = tmp_path_factory.mktemp("consolidated")
    made = Consolidated(FolderStore(folder / "store"), folder / "report")
    assert mirror.reindex(made.store, place).problems == ()
    return made


@pytest.fixture(scope="module")
def pages(shown, place):
    """The client of the MLflow that shows it."""
    return connection.client_of(place)


def by_record(client):
    return {run.data.tags["provost.record"]: run for run in runs(client)}


def links(text):
    """Return the links of a Markdown text: what is shown, and the address."""
    return dict(re.findall(r"\[([^\]]+)\]\((#[^)]+)\)", text))


def address(run):
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


@pytest.mark.medium
def test_a_student_s_page_leads_to_all_that_it_is_made_of(shown, pages):
    found = by_record(pages)
    version = pages.get_model_version_by_alias("student.general", "released")
    led = links(version.description)
    for team in TEAMS:
        assert led[f"teacher.{team}@1"] == f"#/models/teacher.{team}/versions/1"
        assert version.tags[f"provost.teacher.{team}"] == f"teacher.{team}@1"
    assert led["plan"] == address(found[shown.plan[0]])
    assert led["base and fork point"] == address(found[shown.base[0]])
    assert led["training"] == address(found[shown.mopd[0]])
    assert led["scorecard"] == address(found[shown.card[0]])
    assert led["publication"] == address(found[shown.student[0]])
    rows = {address(found[shown.teams[team]["data"][0]]) for team in TEAMS}
    assert rows <= set(re.findall(r"#/[^)]+", version.description))
    assert COMMIT[:12] in version.description
    assert "first" in version.description
    assert version.tags["score.math"] == version.tags["score.code"] == "0.5000"


def test_a_teacher_s_page_leads_to_its_data(shown, pages):
    found = by_record(pages)
    version = pages.get_model_version_by_alias("teacher.math", "released")
    led = links(version.description)
    assert led["demonstrations"] == address(found[shown.teams["math"]["data"][0]])
    assert led["training prompts"] == address(found[shown.teams["math"]["prompts"][0]])
    assert led["base and fork point"] == address(found[shown.base[0]])
    assert version.tags["score.math"] == "0.7500"


def test_a_run_s_description_leads_to_each_input(shown, pages):
    found = by_record(pages)
    run = found[shown.mopd[0]]
    led = links(run.data.tags["mlflow.note.content"])
    assert led["student"] == address(found[shown.base[0]])
    assert led["teacher math"] == address(found[shown.teams["math"]["rl"][0]])
    assert led["teacher.math@1"] == "#/models/teacher.math/versions/1"
    assert led["prompts code"] == address(found[shown.teams["code"]["prompts"][0]])


def test_a_plan_leads_to_its_teachers_by_name_and_version(shown, pages):
    note = by_record(pages)[shown.plan[0]].data.tags["mlflow.note.content"]
    first, led = note.splitlines()[0], links(note)
    assert [*links(first)] == [f"teacher.{team}@1" for team in TEAMS]
    for team in TEAMS:
        assert led[f"teacher.{team}@1"] == f"#/models/teacher.{team}/versions/1"


def test_the_columns_of_a_run_are_filled(shown, pages):
    tags = by_record(pages)[shown.mopd[0]].data.tags
    assert tags["mlflow.source.name"] == "tasks.mopd.task.distil_rounds"
    assert tags["mlflow.source.type"] == "JOB"
    assert tags["mlflow.source.git.commit"] == COMMIT
    local = by_record(pages)[shown.base[0]].data.tags
    assert (local["mlflow.source.name"], local["mlflow.source.type"]) == ("provost: base", "LOCAL")


def test_a_consolidation_is_one_run_with_its_steps_below(shown, pages):
    found = by_record(pages)
    plan = found[shown.plan[0]]
    below = {run for run in found.values() if "mlflow.parentRunId" in run.data.tags}
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {plan.info.run_id}
    kinds = Counter(run.data.tags["provost.kind"] for run in below)
    steps = {"mopd": 1, "evaluation": 2, "scorecard": 1, "student": 1, "report": 1}
    assert kinds == steps  # the fork point was measured before, by the teams
    assert {run.info.experiment_id for run in below} == {plan.info.experiment_id}
    assert plan.info.run_name.startswith("consolidation-")


def test_experiments_are_areas_of_the_product(shown, pages):
    names = {item.name for item in pages.search_experiments()} - {"Default"}
    assert names == {"foundation", "teachers", "consolidation", "evaluation"}
    assert area_of("something-new") == "something-new"
    for name in names:
        tags = pages.get_experiment_by_name(name).tags
        assert tags["mlflow.experimentKind"] == "custom_model_development"
        assert tags["mlflow.note.content"]


def test_scores_are_at_the_checkpoint_with_their_data(shown, pages):
    version = pages.get_model_version_by_alias("student.general", "released")
    model = pages.get_logged_model(version.source.removeprefix("models:/"))
    scores = {metric.key: metric for metric in model.metrics}
    assert {key: metric.value for key, metric in scores.items()} == {
        "evaluation/score/code": 0.5,
        "evaluation/score/math": 0.5,
    }
    assert model.tags["mlflow.note.content"] == version.description
    assert model.params == pages.get_run(model.source_run_id).data.params == {"seed": "0"}
    assert model.tags["mlflow.user"] == "consolidation"
    assert model.tags["mlflow.source.name"] == "tasks.mopd.task.distil_rounds"
    assert model.tags["mlflow.source.git.commit"] == COMMIT
    registered = json.loads(model.tags["mlflow.modelVersions"])
    assert registered == [{"name": "student.general", "version": "1"}]
    prompts = shown.teams["math"]["prompts"][1].removeprefix("sha256:")
    assert prompts.startswith(scores["evaluation/score/math"].dataset_digest)


def test_data_sets_and_teachers_are_tags_of_version_and_checkpoint(shown, pages):
    version = pages.get_model_version_by_alias("student.general", "released")
    model = pages.get_logged_model(version.source.removeprefix("models:/"))
    wanted = {f"provost.teacher.{team}": f"teacher.{team}@1" for team in TEAMS}
    for team in TEAMS:
        made = shown.teams[team]
        wanted[f"provost.data.{team}.demonstrations"] = made["data"][1]
        for use in ("training", "validation", "evaluation"):
            wanted[f"provost.data.{team}.{use}_prompts"] = made["prompts"][1]
    for tags in (version.tags, model.tags):
        begins = ("provost.teacher.", "provost.data.")
        assert {key: text for key, text in tags.items() if key.startswith(begins)} == wanted


def test_a_measurement_is_named_after_the_checkpoint(shown, pages):
    names = {run.info.run_name for run in runs(pages) if "evaluation" in run.info.run_name}
    student, base = shown.mopd[1][7:19], shown.base[1][7:19]
    assert {f"evaluation-math-of-mopd-{student}", f"evaluation-math-of-base-{base}"} <= names


def test_a_consolidation_ends_with_its_latest_step_as_that_did(store, client):
    plan = write_record(store, b"{}", kind="plan", output_kind="plan")
    run = {"kind": "mopd", "notes": {"plan": plan[0]}}
    first = write_record(store, b"x", finished=LATER.format(1), **run)
    why = {"kind": "failure", "output_kind": "failure", "error": "no space left"}
    failed = write_record(store, b"why", take("plan", plan), finished=LATER.format(2), **why)
    last = write_record(store, b"y", finished=LATER.format(3), **run)

    def parent():
        [found] = [run for run in runs(client) if run.data.tags["provost.kind"] == "plan"]
        return found.info.status, found.info.end_time - milliseconds(LATER.format(0))

    for record, shows in ((first, ("FINISHED", 60_000)), (failed, ("FAILED", 120_000))):
        assert mirror.mirror_record(store, record[0])
        assert parent() == shows
    run_id = by_record(client)[plan[0]].info.run_id
    assert mirror.reindex(store).repaired == ()  # the last one was missing, nothing was wrong
    assert parent() == ("FINISHED", 180_000)
    client.set_terminated(run_id, "FAILED", 7)
    assert mirror.reindex(store).repaired == ()
    assert parent() == ("FINISHED", 180_000)
    showing.mirror_of.cache_clear()
    for record in (last, first):
        assert mirror.mirror_record(store, record[0])
    assert parent() == ("FINISHED", 180_000)
    assert by_record(client)[plan[0]].info.run_id == run_id


def test_data_sets_are_inputs_with_their_digests(shown, pages):
    run = pages.get_run(by_record(pages)[shown.mopd[0]].info.run_id)
    digests = {item.dataset.name: item.dataset.digest for item in run.inputs.dataset_inputs}
    wanted = {f"prompts {team}": shown.teams[team]["prompts"][1][7:43] for team in TEAMS}
    assert digests == wanted
    assert digests["prompts math"] == digest_bytes(b"math prompts")[7:43]


def test_report_and_picture_are_artifacts_of_report_student_and_consolidation(shown, pages):
    found = by_record(pages)
    for record in (shown.report[0], shown.student[0], shown.plan[0]):
        files = pages.list_artifacts(found[record].info.run_id)
        assert {file.path for file in files} == {"report.html", "scorecard.png"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("loader", ["transformers", "pyfunc"])
def test_a_loader_learns_that_the_weights_are_elsewhere(shown, pages, place, loader, monkeypatch):
    import importlib

    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    load = importlib.import_module(f"mlflow.{loader}").load_model
    with pytest.raises(mlflow.MlflowException) as refused:
        load("models:/student.general@released")
    assert refused.value.error_code != "INTERNAL_ERROR"
    place = mlflow.artifacts.download_artifacts("models:/student.general@released")
    text = Path(place, "README.md").read_text("utf-8")
    assert "`provost student export student.general@1 FOLDER`" in text
    version = pages.get_model_version_by_alias("student.general", "released")
    model = pages.get_logged_model(version.source.removeprefix("models:/"))
    assert model.tags["mlflow.model.isExternal"] == "true"


def test_a_failure_has_the_status_failed(store, client):
    record, _ = write_record(
        store, b"why", kind="failure", output_kind="failure", error="no [space](left)"
    )
    assert mirror.mirror_record(store, record)
    [run] = runs(client)
    assert run.info.status == "FAILED"
    assert "**Failed:** no \\[space\\]\\(left\\)" in run.data.tags["mlflow.note.content"]
    assert mirror.mirror_record(store, record)
    assert len(runs(client)) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://flyte.example.org/x", "[team-math/production/f1a2](https://flyte.example.org/x)"),
        ("javascript:alert(1)", "team-math/production/f1a2"),
    ],
)
def test_a_run_leads_to_its_execution_in_flyte(store, client, url, shown):
    run = FlyteRun(
        project="team-math", domain="production", execution="f1a2", version="v7", url=url
    )
    record, _ = write_record(store, b"x", flyte=run, execution="f1a2")
    assert mirror.mirror_record(store, record)
    [found] = runs(client)
    assert found.data.tags["provost.flyte.domain"] == "production"
    assert found.data.tags["provost.flyte.version"] == "v7"
    note = found.data.tags["mlflow.note.content"]
    assert f"Ran in Flyte: {shown}, version `v7`." in note


@pytest.mark.medium
@pytest.mark.parametrize("noted", ["sha256:" + "0" * 64, "no digest", 7, None])
def test_a_plan_that_is_not_there_hides_no_step(store, client, noted):
    record, _ = write_record(store, b"x", kind="mopd", notes={"plan": noted})
    assert mirror.mirror_record(store, record)
    assert "mlflow.parentRunId" not in runs(client)[0].data.tags


def test_a_run_without_a_domain_is_named_by_its_team(store, client):
    record, output = write_record(store, b"x", kind="sft", owner="team-math")
    assert mirror.mirror_record(store, record)
    assert [run.info.run_name for run in runs(client)] == [f"sft-team-math-{output[7:19]}"]


def test_the_description_shows_a_recall(store, client):
    record, output = write_record(store, b"weights", kind="rl")
    made = Artifact(kind="checkpoint", digest=output, record=record)
    Registry(store).register("teacher.math", made, owner="team")
    assert mirror.mirror_entry(store, "teacher.math")
    Registry(store).recall("teacher.math", 1, by="ann", reason="a leak")
    assert mirror.mirror_entry(store, "teacher.math")
    version = client.get_model_version("teacher.math", "1")
    assert version.description.startswith("**Recalled** by ann on ")
    assert "a leak" in version.description
