"""Small things that the lineage tests put into a store."""

import json
import struct
from pathlib import Path

from lineage.artifacts import Artifact, Prompts, Release, Rung, Sampling, SftData
from lineage.digest import digest_bytes
from lineage.records.derivation import Sample, metrics_blob
from lineage.records.record import Attestation, Derivation, Input, Records

SOURCE = "sha256:" + "a" * 64
ATTESTED = (
    "owner", "notes", "output_kind", "commit", "execution", "task", "dirty", "flyte", "finished"
)  # fmt: skip
TIME = "2026-11-21T00:00:00+00:00"
MINE = "projects/local"
"""Where statements lie in a store of one's own."""


def safetensors(payload: bytes = b"\0\0\0\0") -> bytes:
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [len(payload)], "data_offsets": [0, len(payload)]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + payload


def checkpoint(folder: Path, payload: bytes = b"\1\2\3\4") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "model.safetensors").write_bytes(safetensors(payload))
    (folder / "nested").mkdir()
    (folder / "nested" / "notes.txt").write_text("hello")
    return folder


def write_record(store, data: bytes, *inputs: Input, kind: str = "sft", **more) -> tuple[str, str]:
    """Write a record that makes ``data`` of ``inputs``; return (record, output).

    ``more`` are settings, except code (its digest), metrics, and what is in ``ATTESTED``.
    """
    attested = {key: more.pop(key) for key in ATTESTED if key in more}
    rows = more.pop("metrics", None)
    output = more.pop("output", None) or store.put_bytes(data)
    blob = metrics_blob(Sample(*row) for row in rows or ())
    # Other bytes come of another derivation, unless the settings tell them apart.
    source = more.pop("code", digest_bytes(f"code that gives {output}".encode()))
    derivation = Derivation(kind=kind, inputs=inputs, source=source, settings=more, seed=0)
    attestation = Attestation(
        derivation=derivation.digest(),
        output=output,
        output_kind=attested.pop("output_kind", "checkpoint"),
        started=TIME,
        metrics=store.put_bytes(blob) if rows else "",
        **{"finished": TIME, **attested},
    )
    return Records(store).write(derivation, attestation), output


def take(role: str, made: tuple[str, str], **more) -> Input:
    """Return an input that is what ``write_record`` returned."""
    record, output = made
    return Input(role=role, artifact=output, record=record, **more)


def release_of(domain: str, **digests: str) -> Release:
    """Return a release whose parts are the given digests, or one that stands for all others."""
    rest = "sha256:" + "e" * 64

    def part(name: str, kind: str) -> Artifact:
        return Artifact(kind=kind, digest=digests.get(name, rest))

    return Release(
        domain=domain,
        kind="rl",
        checkpoint=part("checkpoint", "checkpoint"),
        ladder=(Rung(step=1, checkpoint=part("rung", "checkpoint")),),
        fork_point=part("fork_point", "checkpoint"),
        precursor=part("precursor", "checkpoint"),
        tokenizer=digests.get("tokenizer", rest),
        template=digests.get("template", rest),
        thinking_mode="off",
        sampling=Sampling(temperature=1.0, max_new_tokens=32),
        sft=SftData(data=part("sft", "dataset"), sketches=digests.get("sketches", rest)),
        prompts=Prompts(train=part("train", "dataset"), validation=part("validation", "dataset")),
        evaluation=part("evaluation", "dataset"),
        environment=part("environment", "environment"),
        scorecard=part("scorecard", "scorecard"),
        owner=f"{domain}-team",
        license="Apache-2.0",
        team_version="1",
        code_version=rest,
    )


def runs(client):
    """Return every run of an MLflow."""
    experiments = [item.experiment_id for item in client.search_experiments()]
    return client.search_runs(experiments)
