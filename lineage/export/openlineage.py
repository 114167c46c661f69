"""The history of a model as OpenLineage events: START and COMPLETE, or FAIL, for each record.

The events go to a file, not to a server; Marquez, DataHub or another consumer can import it.
"""

import importlib.metadata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import canonical_json
from lineage.export.origin import files_of, platform
from lineage.export.subject import NewestOutput
from lineage.graph.graph import Lineage
from lineage.records.record import Input, Records
from lineage.store.store import Store

FILE = "openlineage.jsonl"
Facet = dict[str, JsonValue]
_SPEC = "https://openlineage.io/spec"
_RUN_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_HOME = "urn:provost"


def write_events(
    folder: Path, store: Store, family: Sequence[NewestOutput], repository: str
) -> Path:
    """Write the events of a family and of the attempts that failed on its way, by time."""
    told = Events(store, repository)
    events = [event for made in [*family, *failures(store, family)] for event in told.of(made)]
    file = folder / FILE
    ordered = sorted(events, key=lambda event: str(event["eventTime"]))
    file.write_bytes(b"".join(canonical_json(event) + b"\n" for event in ordered))
    return file


def failures(store: Store, family: Iterable[NewestOutput]) -> list[NewestOutput]:
    """Return the failed attempts that took something which a family made, of its own projects."""
    records, index = Records(store), Lineage(store).index
    family = list(family)
    projects = {made.derivation.project for made in family}
    users = {user for made in family for user in index.users(made.attestation.output)}
    found = []
    for user in sorted(users):
        derivation = records.read(user)
        is_own = derivation.kind == "failure" and derivation.project in projects
        attestation = records.output(user) if is_own else None
        if attestation is not None:
            found.append(NewestOutput(user, derivation, attestation))
    return found


class Events:
    """Converts records to OpenLineage events."""

    def __init__(self, store: Store, repository: str) -> None:
        """Export the records of ``store``; ``repository`` holds their code ("" if unknown)."""
        self._store, self._repository = store, repository
        self._producer = repository or _HOME
        # The path of a folder says more of a machine than of the data.
        is_remote = "://" in store.uri and not store.uri.startswith("file:")
        self._place = (
            f"provost://{store.uri.partition('://')[2]}" if is_remote else "provost://local"
        )

    def of(self, made: NewestOutput) -> Iterator[Facet]:
        """Yield the two events of a record."""
        failed = made.derivation.kind == "failure"
        attestation = made.attestation
        for kind, moment in (
            ("START", attestation.started or attestation.finished),
            ("FAIL" if failed else "COMPLETE", attestation.finished or attestation.started),
        ):
            yield {
                "eventType": kind,
                "eventTime": moment or "1970-01-01T00:00:00+00:00",
                "producer": self._producer,
                "schemaURL": _RUN_EVENT,
                "run": {"runId": _uuid(made.record), "facets": self._run_facets(made, kind)},
                "job": self._job(made),
                "inputs": [self._input(item) for item in made.derivation.inputs],
                "outputs": [] if failed else [self._output(made)],
            }

    def _job(self, made: NewestOutput) -> Facet:
        attestation = made.attestation
        integration = "FLYTE" if attestation.execution else "PROVOST"
        facets: Facet = {
            "jobType": self._facet(
                "2-0-4/JobTypeJobFacet",
                processingType="BATCH",
                integration=integration,
                jobType="TASK",
            )
        }
        if self._repository and attestation.commit:
            facets["sourceCodeLocation"] = self._facet(
                "1-1-0/SourceCodeLocationJobFacet",
                type="git",
                url=self._repository,
                repoUrl=self._repository,
                version=attestation.commit,
            )
        name = attestation.task or made.derivation.kind
        return {"namespace": platform(made.attestation), "name": name, "facets": facets}

    def _run_facets(self, made: NewestOutput, event: str) -> Facet:
        attestation = made.attestation
        version = importlib.metadata.version("provost")
        facets: Facet = {
            "processing_engine": self._facet(
                "1-1-1/ProcessingEngineRunFacet", version=version, name="provost"
            )
        }
        if attestation.execution:
            place, name = platform(attestation), attestation.execution
            workflow = attestation.flyte.workflow if attestation.flyte else ""
            run: JsonValue = {"runId": _uuid(f"{place}/{name}")}
            job: JsonValue = {"namespace": place, "name": workflow or name}
            facets["parent"] = self._facet("1-2-0/ParentRunFacet", run=run, job=job)
        if event == "FAIL":
            message = str(made.derivation.settings.get("error") or "not recorded")
            facets["errorMessage"] = self._facet(
                "1-0-1/ErrorMessageRunFacet", message=message, programmingLanguage="python"
            )
        return facets

    def _input(self, item: Input) -> Facet:
        said: Facet = {"role": item.role, "name": item.name, "weight": item.weight}
        facet: Facet = {
            "_producer": self._producer,
            "_schemaURL": self._page("provost_input.schema.json"),
            **{key: value for key, value in said.items() if value not in {"", None}},
        }
        return {**self._dataset(item.artifact), "inputFacets": {"provost_input": facet}}

    def _output(self, made: NewestOutput) -> Facet:
        output = made.attestation.output
        tree = files_of(self._store, output)
        facets: Facet = {}
        if tree is not None:
            facets["outputStatistics"] = self._facet(
                "1-0-2/OutputStatisticsOutputDatasetFacet",
                size=tree.size,
                fileCount=len(tree.files),
            )
        return {**self._dataset(output), "outputFacets": facets}

    def _dataset(self, digest: str) -> Facet:
        """Return a dataset of one digest: a name that outlived its bytes would join two things."""
        version = self._facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=digest)
        return {"namespace": self._place, "name": digest, "facets": {"version": version}}

    def _facet(self, page: str, **said: JsonValue) -> Facet:
        name = page.rpartition("/")[2]
        schema = f"{_SPEC}/facets/{page}.json#/$defs/{name}"
        return {"_producer": self._producer, "_schemaURL": schema, **said}

    def _page(self, name: str) -> str:
        home = self._repository and f"{self._repository}/blob/HEAD/docs/derivations"
        return f"{home or _HOME}/{name}"


def _uuid(text: str) -> str:
    """Return the same UUID for the same text everywhere."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_HOME}:{text}"))
