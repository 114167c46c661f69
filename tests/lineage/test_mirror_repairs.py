"""Whatever stands in MLflow, a rebuild makes it say what the records say."""

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.records.record import Input
from lineage.registry.registry import Registry
from tests.support.making import runs, take, write_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SCORE = "evaluation/score/math"


@pytest.fixture
def family(store, client):
    """A base, a teacher that is registered, and its evaluation, all shown."""
    base = write_record(store, b"base", kind="base")
    data = Input(role="data", artifact=store.put_bytes(b"rows"))
    rows = [(step, "reward", step / 10, "rl") for step in range(1, 4)]
    teacher = write_record(
        store, b"teacher", take("start", base), data, kind="rl", metrics=rows, rate=0.5
    )
    prompts = Input(role="prompts", artifact=store.put_bytes(b"prompts"))
    score = write_record(
        store,
        b"measured",
        take("checkpoint", teacher),
        prompts,
        kind="evaluation",
        output_kind="measurement",
        metrics=[(0, "score/math", 0.41, "evaluation")],
    )
    registry = Registry(store)
    made = Artifact(kind="checkpoint", digest=teacher[1], record=teacher[0])
    registry.register("teacher.math", made, owner="team")
    registry.point("teacher.math", "released", 1, by="lead")
    done = mirror.reindex(store)
    assert (done.repaired, done.problems) == ((), ())
    return {"base": base[0], "teacher": teacher[0], "score": score[0]}


def run_of(client, record):
    [run] = [run for run in runs(client) if run.data.tags.get("provost.record") == record]
    return client.get_run(run.info.run_id)


def rebuilt(store):
    done = mirror.reindex(store)
    assert done.problems == ()
    again = mirror.reindex(store)
    assert (again.repaired, again.problems) == ((), ())
    return len(done.repaired)


def test_a_rebuild_of_what_is_right_changes_nothing(store, client, family):
    before = {run.info.run_id: run for run in runs(client)}
    assert rebuilt(store) == 0
    after = {run.info.run_id: run for run in runs(client)}
    assert before.keys() == after.keys()
    assert [run.info.end_time for run in before.values()] == [
        run.info.end_time for run in after.values()
    ]


def test_a_forged_run_does_not_keep_the_true_one_out(store, client, family):
    true = run_of(client, family["score"])
    client.delete_run(true.info.run_id)
    forged = client.create_run(true.info.experiment_id, tags=dict(true.data.tags))
    client.log_param(forged.info.run_id, "seed", "0")
    client.log_metric(forged.info.run_id, SCORE, 0.99)
    client.set_terminated(forged.info.run_id)
    assert rebuilt(store) == 1
    assert run_of(client, family["score"]).data.metrics == {SCORE: 0.41}


@pytest.mark.parametrize("name", ["rl/reward", "rl/another"])
def test_a_forged_value_is_taken_back(store, client, family, name):
    run = run_of(client, family["teacher"])
    client.log_metric(run.info.run_id, name, 0.99, step=9)
    assert rebuilt(store) >= 1
    run = run_of(client, family["teacher"])
    assert set(run.data.metrics) == {"rl/reward"}
    history = client.get_metric_history(run.info.run_id, "rl/reward")
    assert [point.value for point in history] == [0.1, 0.2, 0.3]


def test_forged_settings_are_taken_back(store, client, family):
    client.log_param(run_of(client, family["teacher"]).info.run_id, "more", "1")
    assert rebuilt(store) >= 1
    run = run_of(client, family["teacher"])
    assert run.data.params == {"seed": "0", "rate": "0.5"}


def test_forged_tags_status_and_inputs_are_taken_back(store, client, family):
    from mlflow.entities import Dataset, DatasetInput

    run = run_of(client, family["teacher"])
    client.set_tag(run.info.run_id, "provost.digest", "sha256:" + "0" * 64)
    assert rebuilt(store) == 0  # tags are set anew at no cost
    assert run_of(client, family["teacher"]).data.tags == run.data.tags
    client.set_terminated(run.info.run_id, "FAILED")
    assert rebuilt(store) >= 1
    run = run_of(client, family["teacher"])
    assert run.info.status == "FINISHED"
    other = DatasetInput(Dataset("leaked", "0" * 36, "provost", "sha256:" + "0" * 64))
    client.log_inputs(run.info.run_id, datasets=[other])
    assert rebuilt(store) >= 1
    names = [item.dataset.name for item in run_of(client, family["teacher"]).inputs.dataset_inputs]
    assert names == ["data"]


def test_a_forged_score_of_a_model_is_taken_back(store, client, family):
    version = client.get_model_version_by_alias("teacher.math", "released")
    model = version.source.removeprefix("models:/")
    other = client.create_run(run_of(client, family["score"]).info.experiment_id)
    client.log_metric(other.info.run_id, SCORE, 0.99, model_id=model)
    assert rebuilt(store) >= 1
    version = client.get_model_version_by_alias("teacher.math", "released")
    shown = client.get_logged_model(version.source.removeprefix("models:/"))
    assert {metric.value for metric in shown.metrics} == {0.41}
    assert shown.source_run_id == run_of(client, family["teacher"]).info.run_id
    assert version.run_id == shown.source_run_id


def test_a_forged_setting_of_a_model_is_taken_back(store, client, family):
    forged = client.get_model_version_by_alias("teacher.math", "released").source
    client.log_model_params(forged.removeprefix("models:/"), {"more": "1"})
    assert rebuilt(store) >= 1
    version = client.get_model_version_by_alias("teacher.math", "released")
    shown = client.get_logged_model(version.source.removeprefix("models:/"))
    assert shown.params == {"seed": "0", "rate": "0.5"}


def test_a_forged_version_goes_and_numbers_stay_those_of_the_registry(store, client, family):
    client.create_model_version(
        "teacher.math", "file:///nowhere", tags={"provost.version": "2", "provost.digest": "x"}
    )
    client.set_registered_model_alias("teacher.math", "released", "2")
    client.update_model_version("teacher.math", "1", "better than it is")
    assert rebuilt(store) == 1
    [version] = client.search_model_versions("name='teacher.math'")
    assert str(version.version) == "1"
    assert "better" not in version.description
    aliases = client.get_registered_model("teacher.math").aliases
    assert {name: str(number) for name, number in aliases.items()} == {"released": "1"}


def test_what_somebody_wrote_into_tags_stops_nothing(store, client, family):
    true = client.get_model_version("teacher.math", "1")
    weights = true.source.removeprefix("models:/")
    client.set_logged_model_tags(weights, {"mlflow.modelVersions": "{not a list"})
    client.update_model_version("teacher.math", "1", "better than it is")
    client.set_tag(true.run_id, "provost.seen", "yesterday")
    assert rebuilt(store) == 0
    assert client.get_model_version("teacher.math", "1").description == true.description


def test_a_version_that_shows_other_weights_is_taken_back(store, client, family):
    true = client.get_model_version("teacher.math", "1")
    client.delete_registered_model("teacher.math")
    client.create_registered_model("teacher.math")
    client.create_model_version("teacher.math", "file:///nowhere", tags=dict(true.tags))
    assert rebuilt(store) == 1
    shown = client.get_model_version("teacher.math", "1")
    assert (shown.source, shown.run_id) == (true.source, true.run_id)
