"""The steps: documents as an artifact, and a model that goes on reading them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from lineage.artifacts import Artifact
from lineage.digest import digest_file
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.mid_training.isolation import refuse_without_isolation
from tasks.mid_training.mixture import draw, shares_of
from tasks.mid_training.rows import PackedRow, pack, plain
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mid_training.train import read_rows
from tasks.model.control_tokens import ControlTokens
from tasks.model.files import Policy, load_policy
from tasks.model.saving import save_in
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts, stored_texts
from tasks.rollout.texts import TEXT, TextDocument, read_texts, refuse_evaluated, write_texts
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged, refuse_system_prompt


class TextData(NamedTuple):
    """What a model goes on reading."""

    text: Sequence[Artifact]
    evaluation: Sequence[Artifact] = ()
    """Prompts that no document may hold."""


def bring_text(runner: StepRunner, file: Path, owner: str) -> Artifact:
    """Return the documents of a JSONL file as an artifact of the store.

    Raises:
        PromptError: for a line that is not a document; names it.
    """
    derivation = Derivation(
        project=runner.project,
        kind=TEXT,
        inputs=(),
        source=source_digest("mid_training", "supervised"),
        settings={"files": {file.name: digest_file(file)}},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        documents = read_texts(file)
        measurements.notes["licenses"] = list[JsonValue](sorted({d.license for d in documents}))
        write_texts(folder / "text.jsonl", documents)
        return folder / "text.jsonl"

    return runner.find_or_make(derivation, TEXT, make, owner)


def read_on(
    runner: StepRunner,
    start: Artifact,
    data: TextData,
    settings: MidTrainingSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return ``start`` after continued pre-training on text.

    Raises:
        RefusedError: ``other-kind``, ``other-sources``, ``evaluated-text``,
            ``row-too-long``, ``not-isolated`` or ``unread-system-prompt``.
    """
    refuse_system_prompt(stage)
    refuse_other_kind(start, "checkpoint", "start")
    for item in data.text:
        refuse_other_kind(item, TEXT, TEXT)
    for item in data.evaluation:
        refuse_other_kind(item, "dataset", "evaluation")
    derivation = Derivation(
        project=runner.project,
        kind="mid_training",
        inputs=(
            Input.of("start", start),
            *_inputs(TEXT, data.text),
            *_inputs("evaluation", data.evaluation),
        ),
        source=source_digest("mid_training", "supervised"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report(stage.name, 0, settings.num_steps, message="load")
        policy = load_policy(runner.store.tree(start.digest))
        _refuse_long_rows(policy, settings.row_tokens)
        if settings.isolated:
            refuse_without_isolation(policy.model)
        documents = [d for item in data.text for d in stored_texts(runner.store, item)]
        held_out = [p for item in data.evaluation for p in stored_prompts(runner.store, item)]
        refuse_evaluated(documents, held_out)
        rows = _rows(policy.tokenizer, documents, settings, seed, measurements)
        watch = Watch(
            logged(stage.name, settings.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        measurements.notes["tokens_trained"] = read_rows(
            policy, rows, settings, seed, folder / "trainer", watch
        )
        saved = folder / "model"
        measurements.notes["saved"] = save_in(policy, saved, settings.saved_precision)
        return saved

    return runner.find_or_make(derivation, "checkpoint", make, stage.owner)


def _rows(
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[TextDocument],
    settings: MidTrainingSettings,
    seed: int,
    measurements: Measurements,
) -> list[PackedRow]:
    """Return as many rows as the steps read, and note what they are made of."""
    end = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    tokens: dict[str, list[list[int]]] = {}
    words = ControlTokens(tokenizer)  # a document that quotes an end of turn writes none
    for document in documents:
        ids = [*words.encode(document.text), end]
        tokens.setdefault(document.source, []).append(ids)
    sizes = {source: sum(map(len, texts)) for source, texts in tokens.items()}
    read = dict.fromkeys(sizes, 0)

    def counted() -> Iterator[Sequence[int]]:
        for source, ids in draw(tokens, shares_of(sizes, settings.weights), seed):
            read[source] += len(ids)
            yield ids

    count = settings.num_steps * settings.batch_size
    rows = pack(counted(), settings.row_tokens, count)
    measurements.notes["text"] = {
        source: {"tokens": size, "read": read[source]} for source, size in sizes.items()
    }
    measurements.notes["document_end"] = str(tokenizer.convert_ids_to_tokens(end))
    return rows if settings.isolated else [plain(row) for row in rows]


def _refuse_long_rows(policy: Policy, width: int) -> None:
    limit = getattr(policy.model.config, "max_position_embeddings", None)
    if limit is not None and width > limit:
        raise RefusedError(
            "row-too-long",
            f"a row has {width} tokens but the model takes {limit}: lower row_tokens",
        )


def _inputs(role: str, items: Sequence[Artifact]) -> tuple[Input, ...]:
    return tuple(Input.of(role, item, str(place)) for place, item in enumerate(items))
