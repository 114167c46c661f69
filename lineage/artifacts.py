"""What steps hand each other, and the two manifests that people exchange: Release and Student.

All are references by digest; the bytes are in the store. Frozen, and strict about unknown fields.
"""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from lineage.declared import Declared
from lineage.digest import canonical_json, hex_of, parse_json
from lineage.errors import LineageError
from lineage.frozen import Frozen
from lineage.store.store import Store, read_tree


def _valid_digest(text: str) -> str:
    hex_of(text)
    return text


Digest = Annotated[str, AfterValidator(_valid_digest)]
"""``sha256:<64 hex>``, checked."""


class Artifact(Frozen):
    """What one step hands to another: a digest, its kind, and the record that made it."""

    kind: str = Field(pattern=r"^[a-z][a-z_]*$")
    """checkpoint, dataset, environment, release, student, scorecard, metrics, report ..."""
    digest: Digest
    """Digest of the blob, or of the folder's manifest, in the store."""
    record: str = ""
    """Digest of the derivation that made it; "" for a raw input only."""
    uri: str = ""
    """Location for people: the store and the path in it."""


class Rung(Frozen):
    """One checkpoint of a climb's ladder."""

    step: int = Field(ge=0)
    """Optimizer steps since the fork point."""
    checkpoint: Artifact


class Sampling(Frozen):
    """The sampling settings that a teacher's owner recommends."""

    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(gt=0)


class Prompts(Frozen):
    """The prompt sets of a domain, as JSONL data sets; evaluation is apart from both."""

    train: Artifact
    validation: Artifact


class SftData(Frozen):
    """The data that a teacher's supervised stage saw."""

    data: Artifact
    sketches: Digest
    """Digest of the blob with row digests and MinHash, made together with the data."""


class Release(Frozen):
    """A teacher with all that a consumer needs, each part by digest."""

    schema_version: Literal[1] = 1
    domain: str = Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")
    kind: Literal["rl", "sft", "self", "imported"]
    checkpoint: Artifact
    ladder: tuple[Rung, ...]
    """Empty for an imported teacher."""
    fork_point: Artifact
    precursor: Artifact
    """The supervised checkpoint that its RL started from; an imported teacher's fork point."""
    tokenizer: Digest
    """Digest over the id -> bytes map and the special ids. Another pad token changes it, but not
    what the tokenizer is: a comparison reads both tokenizers."""
    template: Digest
    """Digest over the chat template's text."""
    training_template: str = Field(default="", exclude_if=lambda name: not name)
    """Name of the template of ours that the teacher reads in place of its family's own, such as
    "qwen3"; "" for none."""
    thinking_mode: str
    """How the template is called: "off", "on", or the model family's own word."""
    sampling: Sampling
    sft: SftData | None
    """None for an imported teacher."""
    prompts: Prompts
    evaluation: Artifact
    """The held-out prompts, JSONL."""
    environment: Artifact
    """The source bundle of the environment, which answers prompts and grades responses."""
    system_prompt: str = Field(default="", exclude_if=lambda text: not text)
    """System prompt that only the teacher sees, before each prompt; "" for none."""
    scorecard: Artifact
    owner: str = Field(min_length=1)
    license: str = Field(min_length=1)
    team_version: str = Field(min_length=1)
    """The team folder's own version."""
    code_version: str = Field(min_length=1)
    """Digest of the source, or the commit, that the climb ran with; else ``unknown``."""
    declared: Declared | None = Field(default=None, exclude_if=lambda value: value is None)
    """What is declared of an imported teacher; None for one that was trained here."""

    @model_validator(mode="after")
    def _ladder_climbs(self) -> Self:
        """Refuse a ladder that does not climb: a remedy walks it in order."""
        steps = [rung.step for rung in self.ladder]
        if steps != sorted(set(steps)):
            raise ValueError(f"ladder steps {steps} do not increase; order the rungs by step")
        if self.kind == "rl" and not steps:
            raise ValueError(
                "a teacher of kind 'rl' needs a ladder; save checkpoints during its climb"
            )
        return self

    @model_validator(mode="after")
    def _training_is_recorded_or_declared(self) -> Self:
        """Refuse an imported teacher with a history, and one of ours without."""
        if len({self.kind == "imported", self.sft is None, self.declared is not None}) > 1:
            raise ValueError("a teacher of kind 'imported', and no other, has declared facts alone")
        return self

    def artifacts(self) -> dict[str, Artifact]:
        """Return every artifact that the release names, by the part's name."""
        parts = {
            "checkpoint": self.checkpoint,
            "fork_point": self.fork_point,
            "precursor": self.precursor,
            **({"sft.data": self.sft.data} if self.sft else {}),
            "prompts.train": self.prompts.train,
            "prompts.validation": self.prompts.validation,
            "evaluation": self.evaluation,
            "environment": self.environment,
            "scorecard": self.scorecard,
        }
        return parts | {f"ladder[{rung.step}]": rung.checkpoint for rung in self.ladder}


class TeacherShare(Frozen):
    """One teacher's part in a student."""

    domain: str
    release: Digest
    reference: str
    """The registry reference as it was given, with what it resolved to: ``math@3``."""
    weight: float = Field(ge=0)
    tokens_routed: int = Field(default=0, ge=0)


class Student(Frozen):
    """A consolidated model and what it was made of."""

    schema_version: Literal[1] = 1
    checkpoint: Artifact
    fork_point: Artifact
    teachers: tuple[TeacherShare, ...] = Field(min_length=1)
    settings: dict[str, JsonValue]
    scorecard: Artifact
    controls: dict[str, Artifact]
    """Cheap merges for comparison, by name."""
    plan: Digest
    """Digest of the resolved plan that the consolidation ran."""
    waivers: tuple[Digest, ...] = ()
    owner: str = Field(min_length=1)

    def artifacts(self) -> dict[str, Artifact]:
        """Return every artifact that the student names, by the part's name."""
        parts = {
            "checkpoint": self.checkpoint,
            "fork_point": self.fork_point,
            "scorecard": self.scorecard,
        }
        return parts | {f"controls.{name}": item for name, item in self.controls.items()}


Manifest = TypeVar("Manifest", Release, Student)

_KIND_OF_PART = {
    "checkpoint": "checkpoint",
    "fork_point": "checkpoint",
    "precursor": "checkpoint",
    "environment": "environment",
    "scorecard": "scorecard",
    "evaluation": "dataset",
    "sft": "dataset",
    "prompts": "dataset",
    "ladder": "checkpoint",
    "controls": "checkpoint",
}


def put_manifest(store: Store, manifest: Release | Student) -> str:
    """Store a release or student manifest; return its digest.

    Raises LineageError naming the part when one is of the wrong kind or is not in the store.
    """
    check_parts(store, manifest)
    return store.put_bytes(canonical_json(without_places(manifest.model_dump(mode="json"))))


def without_places(value: JsonValue) -> JsonValue:
    """Return JSON without the places of its artifacts: what a thing is does not say where it lies.

    Else a store that has moved, or another machine, would give other digests for the same parts.
    """
    if isinstance(value, list):
        return [without_places(item) for item in value]
    if isinstance(value, dict):
        is_artifact = {"kind", "digest", "record", "uri"} == value.keys()
        kept = {key: item for key, item in value.items() if not (is_artifact and key == "uri")}
        return {key: without_places(item) for key, item in kept.items()}
    return value


def read_manifest(store: Store, digest: str, model: type[Manifest]) -> Manifest:
    """Return the release or student that ``digest`` names, checked like a new one.

    Raises LineageError naming every part that is missing, unknown or wrong.
    """
    manifest = parse_manifest(store.get_bytes(digest), model)
    check_parts(store, manifest)
    return manifest


def parse_manifest(data: bytes, model: type[Manifest]) -> Manifest:
    """Return the manifest in ``data``; see ``read_manifest``."""
    name = model.__name__.lower()
    try:
        document = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise LineageError(f"this is not a {name}: it is not valid JSON ({error})") from error
    _refuse_other_schema(document, name, model)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        parts = "; ".join(
            f"{'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        raise LineageError(
            f"this {name} is incomplete or invalid: {parts}. Make it again with every part",
            code="invalid-manifest",
        ) from error


def _refuse_other_schema(document: object, name: str, model: type[Manifest]) -> None:
    """Report another schema version first: further differences would only mislead."""
    written = document.get("schema_version") if isinstance(document, dict) else None
    read = model.model_fields["schema_version"].default
    if isinstance(written, int) and written != read:
        raise LineageError(
            f"this {name} was written in schema {written}, and this code reads schema {read}: "
            "have its owner release it again, or read it with the code that wrote it",
            code="other-schema",
        )


def check_parts(store: Store, manifest: Release | Student) -> None:
    """Raise LineageError for a part of the wrong kind, or one that is not in the store."""
    for part, artifact in manifest.artifacts().items():
        wanted = _KIND_OF_PART[part.partition(".")[0].partition("[")[0]]
        if artifact.kind != wanted:
            other = f"part {part!r} is a {artifact.kind}, not a {wanted}: pass such an artifact"
            raise LineageError(other, code="other-kind")
        if not store.has(artifact.digest):
            missing = f"part {part!r} is {artifact.digest}, not in the store: put it there first"
            raise LineageError(missing, code="missing-part")
        if wanted == "checkpoint":
            _check_checkpoint(store, part, artifact.digest)
    sketches = [manifest.sft.sketches] if isinstance(manifest, Release) and manifest.sft else []
    digests = [manifest.plan] if isinstance(manifest, Student) else sketches
    for digest in digests:
        if not store.has(digest):
            missing = f"{digest} (sketches or plan) is not in the store: put it first"
            raise LineageError(missing, code="missing-part")


def _check_checkpoint(store: Store, part: str, digest: str) -> None:
    names = {file.path for file in read_tree(store, digest).files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise LineageError(
            f"part {part!r} is not a Hugging Face checkpoint: it needs config.json and "
            f"safetensors, but holds {sorted(names)}"
        )
