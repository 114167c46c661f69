"""Events as OpenLineage's own classes take them: no facet has a field that they do not know."""

import importlib
import json
import uuid
from datetime import datetime

import pytest
from openlineage.client.generated import base
from openlineage.client.serde import Serde

from lineage.export.folder import export
from lineage.export.openlineage import FILE
from lineage.export.subject import subject_of
from lineage.trust.author import own_key
from tests.support.exported_family import take_failure

REPOSITORY = "https://git.example.org/post/training"
MODULES = {
    "jobType": "job_type_job.JobTypeJobFacet",
    "sourceCodeLocation": "source_code_location_job.SourceCodeLocationJobFacet",
    "processing_engine": "processing_engine_run.ProcessingEngineRunFacet",
    "parent": "parent_run.ParentRunFacet",
    "errorMessage": "error_message_run.ErrorMessageRunFacet",
    "outputStatistics": "output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet",
    "version": "dataset_version_dataset.DatasetVersionDatasetFacet",
}


@pytest.fixture
def events(family, tmp_path):
    """Return the events of a student whose plan failed once before it was made."""
    take_failure(family)
    folder = export(
        subject_of(family.store, "student@1"), tmp_path / "out", own_key(), REPOSITORY
    ).folder
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def kind_of(name):
    module, _, kind = MODULES[name].partition(".")
    return getattr(importlib.import_module(f"openlineage.client.generated.{module}"), kind)


def taken(name, facet):
    """Return a facet as the library's class has it, after it took every field."""
    if name not in MODULES:
        return facet
    kind = kind_of(name)
    fields = {key: value for key, value in facet.items() if not key.startswith("_")}
    if name == "parent":
        module = importlib.import_module("openlineage.client.generated.parent_run")
        fields = {"run": module.Run(**fields["run"]), "job": module.Job(**fields["job"])}
    made = kind(**fields, producer=facet["_producer"])
    assert facet["_schemaURL"] == kind._get_schema()
    return {**Serde.to_dict(made), "_schemaURL": facet["_schemaURL"]}


def retold(event):
    """Return an event after the library's classes took it apart and told it again."""

    def facets(found):
        return {name: taken(name, facet) for name, facet in found.items()}

    def dataset(kind, found):
        parts = {k: facets(v) if k.endswith(("acets",)) else v for k, v in found.items()}
        return kind(**parts)

    run = base.Run(runId=event["run"]["runId"], facets=facets(event["run"]["facets"]))
    job = base.Job(**{**event["job"], "facets": facets(event["job"]["facets"])})
    made = base.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=base.EventType(event["eventType"]),
        run=run,
        job=job,
        inputs=[dataset(base.InputDataset, each) for each in event["inputs"]],
        outputs=[dataset(base.OutputDataset, each) for each in event["outputs"]],
    )
    return Serde.to_dict(made)


def bare(value):
    """Return JSON without what is empty: the library leaves that out."""
    if isinstance(value, dict):
        kept = {key: bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


def test_the_library_takes_every_event_and_tells_the_same(events):
    for event in events:
        assert bare(retold(event)) == bare(event)


def test_every_run_starts_and_ends_once(events):
    ends = {}
    for event in events:
        uuid.UUID(event["run"]["runId"])
        assert datetime.fromisoformat(event["eventTime"]).utcoffset() is not None
        ends.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert sorted(map(tuple, ends.values())).count(("START", "FAIL")) == 1
    assert set(map(tuple, ends.values())) == {("START", "COMPLETE"), ("START", "FAIL")}
    # base, fork point, plan, round, student, failure, and two each of data, teachers, releases
    assert len(ends) == 12


def test_a_failure_says_why_and_has_no_output(events):
    [failed] = [event for event in events if event["eventType"] == "FAIL"]
    assert failed["run"]["facets"]["errorMessage"]["message"] == "the disk is full"
    assert failed["outputs"] == []


def test_what_one_run_gave_is_what_another_took(events, family):
    given = {each["name"] for event in events for each in event["outputs"]}
    [round_] = [
        event
        for event in events
        if event["job"]["name"] == "mopd" and event["eventType"] == "COMPLETE"
    ]
    taken_by = {
        each["name"]: each["inputFacets"]["provost_input"]["role"] for each in round_["inputs"]
    }
    assert taken_by == {
        family.fork[1]: "student",
        family.teachers["math"][1]: "teacher",
        family.teachers["code"][1]: "teacher",
    }
    assert taken_by.keys() <= given


def test_events_hold_no_path_of_this_machine(events, family):
    assert family.store.uri not in json.dumps(events)
