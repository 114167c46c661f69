"""One MLflow that several domains, machines and people share shows each store as it is."""

import json
import logging

import pytest

from lineage import mirror
from lineage.artifacts import Artifact
from lineage.mirror import showing
from lineage.mirror.run_view import MetricRow, namespace_of, split_finite
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from lineage.trust.author import own_key
from lineage.trust.chain import own_root, publish
from tests.support.making import MINE, runs, write_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class DomainStore(FolderStore):
    """A store that is known under the address of a Flyte domain's."""

    def __init__(self, root, domain):
        super().__init__(root)
        self._domain = domain

    @property
    def uri(self):
        return f"s3://bucket/{self._domain}"


@pytest.fixture
def domains(tmp_path, monkeypatch):
    """Two domains of one MLflow, as the tasks of each reach their store."""
    found = {name: DomainStore(tmp_path / name, name) for name in ("development", "production")}
    for store in found.values():
        publish(store, own_root(own_key()), own_key())
    by_uri = {store.uri: store for store in found.values()}
    monkeypatch.setattr(showing, "open_store", by_uri.__getitem__)
    return found


def release(store, content, name="teacher.math", alias="released"):
    record, output = write_record(store, content, kind="rl")
    registry = Registry(store)
    made = Artifact(kind="checkpoint", digest=output, record=record)
    entry = registry.register(name, made, owner="team")
    if alias:
        registry.point(name, alias, entry.version, by="lead")
    return entry


def test_each_domain_has_names_of_its_own(domains, client):
    entries = {name: release(store, name.encode()) for name, store in domains.items()}
    for store in domains.values():
        assert mirror.mirror_entry(store, "teacher.math")
    for name, entry in entries.items():
        version = client.get_model_version_by_alias(f"{name}.teacher.math", "released")
        assert version.tags["provost.digest"] == entry.digest
    names = {item.name for item in client.search_experiments()} - {"Default"}
    assert {name.split("/")[0] for name in names} == set(domains)
    Registry(domains["production"]).recall("teacher.math", 1, by="lead", reason="bad")
    assert mirror.mirror_entry(domains["production"], "teacher.math")
    status = [
        client.get_model_version(f"{name}.teacher.math", "1").tags["provost.status"]
        for name in ("development", "production")
    ]
    assert status == ["active", "recalled"]


def test_the_same_work_in_two_domains_is_shown_in_both(domains, client):
    for store in domains.values():
        record, _ = write_record(store, b"base", kind="base")
        assert mirror.mirror_record(store, record)
    assert len(runs(client)) == 2


def test_the_namespace_follows_from_the_address_of_the_store():
    assert namespace_of("s3://bucket/production") == "production"
    assert namespace_of("s3://bucket/provost/staging/") == "staging"
    assert namespace_of("s3://bucket") == "bucket"
    assert namespace_of("/srv/provost/store") == ""


def test_a_name_that_another_store_shows_is_refused_and_others_are_shown(
    store, client, tmp_path, caplog
):
    release(store, b"ours")
    assert mirror.mirror_entry(store, "teacher.math")
    other = FolderStore(tmp_path / "other")
    release(other, b"theirs")
    release(other, b"code", name="teacher.code")
    with caplog.at_level(logging.WARNING, "provost.lineage"):
        assert not mirror.mirror_entry(other, "teacher.math")
    assert not showing.HEALTH.paused()
    done = mirror.reindex(other)
    assert [problem.split(":")[0] for problem in done.problems] == ["teacher.math"]
    assert done.versions == 1
    assert len(client.search_model_versions("name='teacher.math'")) == 1
    assert len(client.search_model_versions("name='teacher.code'")) == 1


def test_a_version_tag_that_names_other_content_is_not_a_version(store, client):
    client.create_registered_model("teacher.math")
    forged = {"provost.version": "1", "provost.digest": "sha256:" + "0" * 64}
    client.create_model_version("teacher.math", "file:///nowhere", tags=forged)
    entry = release(store, b"true")
    assert mirror.mirror_entry(store, "teacher.math")
    version = client.get_model_version_by_alias("teacher.math", "released")
    assert version.tags["provost.digest"] == entry.digest


@pytest.mark.parametrize("event", ["recall", "retire"])
def test_no_alias_leads_to_a_version_that_is_withdrawn(store, client, event):
    release(store, b"one")
    assert mirror.mirror_entry(store, "teacher.math")
    getattr(Registry(store), event)("teacher.math", 1, by="lead", reason="bad")
    assert mirror.mirror_entry(store, "teacher.math")
    assert client.get_registered_model("teacher.math").aliases == {}
    mirror.reindex(store)
    assert client.get_registered_model("teacher.math").aliases == {}


def test_an_experiment_that_somebody_deleted_comes_back(store, client):
    first, _ = write_record(store, b"a", number=1)
    second, _ = write_record(store, b"b", number=2)
    assert mirror.mirror_record(store, first)
    [run] = runs(client)
    client.delete_experiment(run.info.experiment_id)
    assert mirror.mirror_record(store, second)
    found = {run.data.tags["provost.record"] for run in runs(client)}
    assert found == {first, second}
    client.delete_experiment(run.info.experiment_id)
    showing.mirror_of.cache_clear()
    assert mirror.reindex(store).problems == ()
    assert len(runs(client)) == 2


def test_a_run_that_somebody_deleted_comes_back(store, client):
    record, _ = write_record(store, b"a")
    assert mirror.mirror_record(store, record)
    client.delete_run(runs(client)[0].info.run_id)
    assert mirror.reindex(store).problems == ()
    assert [run.data.tags["provost.record"] for run in runs(client)] == [record]


def raced(client, name, monkeypatch, first):
    """Let ``first`` happen right before the first call of a method, as if from another pod."""
    real = getattr(type(client), name)
    calls = []

    def call(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            first()
        return real(self, *arguments, **options)

    monkeypatch.setattr(type(client), name, call)


def test_two_machines_may_create_an_experiment_at_once(store, client, monkeypatch):
    record, _ = write_record(store, b"a")
    raced(client, "create_experiment", monkeypatch, lambda: client.create_experiment("teachers"))
    assert mirror.mirror_record(store, record)
    assert not showing.HEALTH.paused()


def test_two_machines_may_create_a_name_at_once(store, client, monkeypatch):
    release(store, b"one")
    raced(
        client,
        "create_registered_model",
        monkeypatch,
        lambda: client.create_registered_model("teacher.math"),
    )
    assert mirror.mirror_entry(store, "teacher.math")
    assert len(client.search_model_versions("name='teacher.math'")) == 1


def test_of_two_runs_of_one_record_everybody_keeps_the_same(store, client, monkeypatch):
    record, _ = write_record(store, b"a", metrics=[(1, "loss", 2.0, "")])
    experiment = client.create_experiment("teachers")

    def other_pod():
        client.create_run(experiment, tags={"provost.record": record})

    raced(client, "create_run", monkeypatch, other_pod)
    assert mirror.mirror_record(store, record)
    showing.mirror_of.cache_clear()
    assert mirror.mirror_record(store, record)
    [run] = runs(client)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 2.0})


def test_of_two_versions_of_one_entry_the_older_stays(store, client, monkeypatch):
    entry = release(store, b"one")
    assert mirror.mirror_entry(store, "teacher.math")
    tags = {"provost.version": "1", "provost.digest": entry.digest}
    client.create_model_version("teacher.math", "file:///nowhere", tags=tags)
    assert mirror.mirror_entry(store, "teacher.math")
    [version] = client.search_model_versions("name='teacher.math'")
    assert str(version.version) == "1"


def test_values_outside_json_are_distinguished(store, client):
    rows = [(1, "loss", 2.0, ""), (2, "loss", float("inf"), ""), (3, "loss", float("nan"), "")]
    record, _ = write_record(store, b"a", metrics=rows)
    assert mirror.mirror_record(store, record)
    [run] = runs(client)
    history = client.get_metric_history(run.info.run_id, "loss")
    shown = json.dumps([dict(metric) for metric in history], allow_nan=False)
    assert [point["value"] for point in json.loads(shown)] == [2.0]
    told = run.data.tags["provost.not_finite"]
    assert told == "loss is inf at step 2, loss is nan at step 3"


def test_many_values_that_are_not_finite_are_counted():
    rows = [MetricRow("loss", float("nan"), step) for step in range(30)]
    finite, told = split_finite([*rows, MetricRow("loss", 1.0, 30)])
    assert (len(finite), told.count(" is nan "), told[-11:]) == (1, 20, "and 10 more")


def test_damage_under_one_name_hides_no_other(store, client, tmp_path):
    release(store, b"one")
    release(store, b"two", name="teacher.code")
    slot = (
        tmp_path / "store" / "keys" / MINE / "registry" / "teacher.code" / "versions" / "00000001"
    )
    slot.chmod(0o644)
    slot.write_bytes(b"damage")
    done = mirror.reindex(store)
    assert [problem.split(":")[0] for problem in done.problems] == ["teacher.code"]
    assert client.get_model_version_by_alias("teacher.math", "released")
