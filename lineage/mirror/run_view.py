"""What a record looks like in MLflow: experiment, names, params, tags and metrics.

Pure: this module knows MLflow's limits but does not import it.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from lineage.digest import is_digest
from lineage.errors import CorruptError
from lineage.records.derivation import Sample, flatten
from lineage.records.record import Attestation, Derivation
from lineage.store.store import Store

MAX_NAME = 250
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_\- ]")

CONSOLIDATION = "consolidation"
AREAS = {
    "foundation": ("base",),
    "teachers": ("environment prompts demonstrations sketch sft warm_up rl rung release".split()),
    CONSOLIDATION: (
        "plan launch probe gate approval review validation remedy mopd ledger merge student "
        "gate_outcome report refork failure"
    ).split(),
    "evaluation": ("evaluation", "scorecard"),
    "audit": ("behaviors", "behaviours", "audit", "surgery"),  # codespell:ignore behaviours
}
"""MLflow's experiments with the kinds of record that each shows."""
WORDS = {
    "foundation": "Bases, from which everything descends.",
    "teachers": "What the teams make: data, environments, climbs and their checkpoints, releases.",
    CONSOLIDATION: "Students: each consolidation is one run, with its steps below it.",
    "evaluation": "Scores of teachers and fork points; a consolidation's are below its run.",
    "audit": "Which teacher shaped which behavior, and what surgery did about it.",
}
"""Description of each experiment."""


def area_of(kind: str, plan: str = "") -> str:
    """Return the experiment of a kind of record; a kind that none names has one of its own.

    A step made for a plan is in the experiment of consolidations: MLflow lists below a run only
    runs of the same experiment.
    """
    if plan:
        return CONSOLIDATION
    return next((area for area, kinds in AREAS.items() if kind in kinds), model_name(kind))


def plan_of(derivation: Derivation, notes: Mapping[str, JsonValue]) -> str:
    """Return the record of the plan that a step was made for, "" where none is known.

    It is an input, or in what the step notes.
    """
    for item in derivation.inputs:
        if item.role == "plan":
            return item.record
    noted = notes.get("plan")
    return noted if isinstance(noted, str) and is_digest(noted) else ""


def model_name(text: str) -> str:
    """Return a name that MLflow takes for a logged model."""
    return _UNSAFE_NAME.sub("_", text)[:MAX_NAME]


LARGEST_STEP = 2**63 - 1
"""The largest integer that MLflow's columns hold."""
MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 5000
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-. /]")

RECORD = "provost.record"
DIGEST = "provost.digest"
OUTPUTS = "provost.outputs"
"""A digest of all outputs of the record that the run shows."""
VERSION = "provost.version"
STATUS = "provost.status"
FIRST = "provost.first"
"""Tag of a registered model: content and time of its version 1, which identify the store."""
NOT_FINITE = "provost.not_finite"
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
ORIGIN = {
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
    "mlflow.source.git.dirty",
}
"""Tags from which MLflow's pages say who made something, and with which code."""


@dataclass(frozen=True)
class MetricRow:
    """One measured value of a step."""

    name: str
    value: float
    step: int
    at: int = 0
    """Milliseconds since 1970; 0 where that is not recorded."""


@dataclass(frozen=True)
class RunView:
    """One record as a run."""

    record: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    started_ms: int
    finished_ms: int


def namespace_of(store_uri: str) -> str:
    """Return the prefix of a store's names in MLflow; "" for a folder.

    Each Flyte domain has a store of its own, such as ``s3://bucket/production``, and they share
    one MLflow. A rebuild from another machine names the same store, so it gets the same prefix.
    """
    parts = urlsplit(store_uri)
    if parts.scheme != "s3":
        return ""
    return parts.path.strip("/").rpartition("/")[2] or parts.netloc


def view_of(digest: str, derivation: Derivation, attestation: Attestation) -> RunView:
    """Return a record with one of its attestations as a run."""
    tags = given_tags(digest, derivation, attestation.owner) | {
        DIGEST: attestation.output,
        "provost.execution": attestation.execution,
        **_flyte_tags(attestation),
        "provost.task": attestation.task,
        "provost.host": attestation.host,
        "provost.image": attestation.image,
        "provost.attempt": str(attestation.attempt),
        "mlflow.source.name": attestation.task or f"provost: {derivation.kind}",
        "mlflow.source.type": "JOB" if attestation.execution else "LOCAL",
        "mlflow.source.git.commit": attestation.commit,
        "mlflow.source.git.dirty": "true" if attestation.dirty else "",
    }
    return RunView(
        record=digest,
        name=run_name(derivation, attestation),
        params=params_of(derivation),
        tags={key: clip(text, MAX_TAG) for key, text in tags.items() if text},
        started_ms=milliseconds(attestation.started),
        finished_ms=milliseconds(attestation.finished),
    )


def _flyte_tags(attestation: Attestation) -> dict[str, str]:
    """Return where in Flyte a step ran, to look for runs by."""
    run = attestation.flyte
    if run is None:
        return {}
    return {
        "provost.flyte.project": run.project,
        "provost.flyte.domain": run.domain,
        "provost.flyte.workflow": run.workflow,
        "provost.flyte.version": run.version,
        "provost.flyte.url": run.url,
    }


def params_of(derivation: Derivation) -> dict[str, str]:
    """Return the settings, flat, and the seed."""
    settings = {safe_key(key): clip(text, MAX_PARAM) for key, text in flatten(derivation.settings)}
    return {"seed": str(derivation.seed)} | settings


def given_tags(digest: str, derivation: Derivation, owner: str) -> dict[str, str]:
    """Return the tags that are known before a record has an output."""
    tags = {
        RECORD: digest,
        "provost.kind": derivation.kind,
        "provost.source": derivation.source,
        "provost.owner": owner,
        "mlflow.user": clip(owner, MAX_KEY),
        "mlflow.source.name": f"provost: {derivation.kind}",
        "mlflow.source.type": "LOCAL",
    }
    tags |= {f"provost.input.{number:03d}": text for number, text in enumerate(edges(derivation))}
    return {key: clip(text, MAX_TAG) for key, text in tags.items() if text}


def run_name(derivation: Derivation, attestation: Attestation) -> str:
    """Return a short name that a person recognizes: kind, domain or team, output."""
    domain = attestation.notes.get("domain") or derivation.settings.get("domain") or ""
    kind = derivation.kind
    if not domain and area_of(kind) == "teachers":
        domain = attestation.owner
    if kind == "plan" and not plan_of(derivation, attestation.notes):
        kind = "consolidation"  # its steps are listed under it
    domain = domain or derivation.settings.get("method") or ""  # of a merge
    parts = [kind, str(domain), attestation.output.removeprefix("sha256:")[:12]]
    return model_name("-".join(part for part in parts if part))


def step_of(derivation: Derivation, attestation: Attestation) -> int:
    """Return the optimizer step of a checkpoint, 0 where the record names none."""
    known = derivation.settings | attestation.notes
    step = known.get("step", known.get("stop_at"))
    return step if isinstance(step, int) and abs(step) <= LARGEST_STEP else 0


def edges(derivation: Derivation) -> Iterator[str]:
    """Yield each input with what MLflow's own edges cannot carry: role, weight, digest, record."""
    for item in derivation.inputs:
        words = [item.role, item.name, item.artifact]
        words += [f"weight={item.weight:g}"] if item.weight is not None else []
        words += [f"record={item.record}"] if item.record else ["raw"]
        yield " ".join(word for word in words if word)


def metrics_of(store: Store, attestation: Attestation) -> list[MetricRow]:
    """Return the rows of an attestation's metrics blob; empty without such a blob.

    Raises:
        CorruptError: for a blob that holds something else.
    """
    if not attestation.metrics:
        return []
    lines = store.get_bytes(attestation.metrics).splitlines()
    try:
        return [row_of(_sample(json.loads(line))) for line in lines]
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as e:
        raise CorruptError(
            f"{attestation.metrics} holds no metrics ({type(e).__name__}: {e}): it must have one "
            "JSON object per line with step, name, value and source. Have its owner run the "
            "step again"
        ) from e


def _sample(row: dict[str, Any]) -> Sample:
    """Return a row as it was measured; raise ValueError for numbers that no database holds."""
    source, at = row.get("source", ""), row.get("at", 0)
    sample = Sample(row["step"], row["name"], row["value"], source, at)
    texts, numbers = (sample.name, sample.source), (sample.step, sample.at)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a row without a name")
    if not all(isinstance(number, int) and abs(number) <= LARGEST_STEP for number in numbers):
        raise ValueError(f"a step or time of {sample.name:.50} that is not a valid integer")
    return sample


def row_of(sample: Sample) -> MetricRow:
    """Return a measured value under the name that MLflow shows."""
    name = f"{sample.source}/{sample.name}" if sample.source else sample.name
    return MetricRow(safe_key(name), float(sample.value), int(sample.step), int(sample.at))


def split_finite(rows: list[MetricRow]) -> tuple[list[MetricRow], str]:
    """Return the rows that JSON can carry, and a sentence on the others, "" if all can.

    One NaN breaks the page of a run, and an infinity is shown as 1.8e308.
    """
    finite = [row for row in rows if math.isfinite(row.value)]
    others = [row for row in rows if not math.isfinite(row.value)]
    told = ", ".join(f"{row.name} is {row.value} at step {row.step}" for row in others[:20])
    more = f", and {len(others) - 20} more" if len(others) > 20 else ""
    return finite, told + more


def safe_key(key: str) -> str:
    """Return a key of the letters that MLflow takes, and no path that it would refuse."""
    parts = [part for part in _UNSAFE.sub("_", key).split("/") if part.strip(". ")]
    return "/".join(parts)[:MAX_KEY] or "_"


def clip(text: str, limit: int) -> str:
    """Return ``text``, cut to ``limit`` characters with a mark that it was."""
    return text if len(text) <= limit else text[: limit - 12] + " [truncated]"


def milliseconds(moment: str) -> int:
    """Return an ISO time as milliseconds since 1970; 0 for ""."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000) if moment else 0
