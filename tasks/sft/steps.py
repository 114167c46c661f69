"""The supervised steps: make the base, and fine-tune on demonstrations."""

import random
from collections.abc import Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import refuse_other_kind
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_policy, save_policy
from tasks.model.images import reader_in
from tasks.model.saving import save_in
from tasks.model.system_prompt import chat_tokens
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_demonstrations, stored_texts
from tasks.rollout.environment import Demonstration
from tasks.rollout.texts import TEXT, TextDocument, write_texts
from tasks.sft.brought import bring_base
from tasks.sft.mixed_text import parted, text_rows
from tasks.sft.scratch import CHAT_ROLES, documents, make_model, make_tokenizer
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.train import supervise
from tasks.supervised.packing import cut, packed
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged

_NUM_TOKENIZER_TEXTS = 8000
_LICENSE = "Apache-2.0"
"""License of the text that this project writes: its own."""


def make_base(
    runner: StepRunner, source: str, data: Sequence[Artifact], settings: BaseSettings, seed: int
) -> Artifact:
    """Return the base: the Hugging Face model ``source``, or one made from scratch without it.

    ``data`` are demonstrations; the tokenizer of a base from scratch covers their text.
    """
    if source:
        return bring_base(runner, source)
    derivation = Derivation(
        project=runner.project,
        kind="base",
        inputs=_inputs(data),
        source=source_digest("sft", "supervised"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        examples = [d for artifact in data for d in stored_demonstrations(runner.store, artifact)]
        watch = Watch(
            logged("base", settings.training.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        policy, rows = _scratch(examples, settings, seed)
        measurements.notes["tokens_trained"] = supervise(
            policy, rows, settings.training, seed, folder / "trainer", watch
        )
        return save_policy(policy, folder / "model")

    return runner.find_or_make(derivation, "checkpoint", make, owner="foundation")


def finetune(
    runner: StepRunner,
    start: Artifact,
    data: Sequence[Artifact],
    settings: SftSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return ``start`` fine-tuned on the demonstrations of ``data``, and on its text.

    Raises:
        RefusedError: ``other-kind`` for a start other than a policy, or data of another kind;
            ``missing-text`` or ``idle-text`` where text and settings do not belong together.
    """
    refuse_other_kind(start, "checkpoint", "start")
    examples_of, texts_of = parted(data, settings.text)
    derivation = Derivation(
        project=runner.project,
        kind="sft",
        inputs=(
            Input.of("start", start),
            *_inputs(examples_of),
            *(Input.of(TEXT, item, str(place)) for place, item in enumerate(texts_of)),
            *system_prompt_inputs(stage.system_prompt),
        ),
        source=source_digest("sft", "supervised"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )
    store_system_prompt(runner.store, stage.system_prompt)

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report(stage.name, 0, settings.num_steps, message="load")
        policy = load_policy(runner.store.tree(start.digest), takes_images=True)
        chat = chat_tokens(
            policy.tokenizer, stage.system_prompt, images=reader_in(policy.model.config)
        )
        examples = [d for item in examples_of for d in stored_demonstrations(runner.store, item)]
        random.Random(seed).shuffle(examples)
        rows = [tokenized(chat, example) for example in examples]
        if settings.text is not None:
            texts = [t.text for item in texts_of for t in stored_texts(runner.store, item)]
            rows += text_rows(chat, texts, settings.text, len(rows), seed)
        watch = Watch(
            logged(stage.name, settings.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        measurements.notes["tokens_trained"] = supervise(
            policy, rows, settings, seed, folder / "trainer", watch
        )
        saved = folder / "model"
        measurements.notes["saved"] = save_in(policy, saved, settings.saved_precision)
        return saved

    return runner.find_or_make(derivation, "checkpoint", make, stage.owner)


def make_text(runner: StepRunner, num_documents: int, seed: int) -> Artifact:
    """Return documents such as a base from scratch reads, for stages that mix them in."""
    derivation = Derivation(
        project=runner.project,
        kind=TEXT,
        inputs=(),
        source=source_digest("sft", "supervised"),
        settings={"num_documents": num_documents},
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        measurements.notes["licenses"] = [_LICENSE]
        lines = documents(num_documents, seed)
        file = folder / "text.jsonl"
        write_texts(file, [TextDocument(line, "scratch", _LICENSE) for line in lines])
        return file

    return runner.find_or_make(derivation, TEXT, make, owner="foundation")


def _scratch(
    examples: Sequence[Demonstration], settings: BaseSettings, seed: int
) -> tuple[Policy, list[Tokens]]:
    """Return an untrained model with its tokenizer, and the rows of its text."""
    report("base", 0, settings.training.num_steps, message="tokenizer and text")
    texts = list(documents(settings.num_documents, seed))
    rng = random.Random(seed)
    spoken = [
        "\n".join([*(m.content for m in e.messages), *(t.content for t in e.turns)])
        for e in rng.sample(list(examples), min(_NUM_TOKENIZER_TEXTS, len(examples)))
    ]
    known = [*texts[:_NUM_TOKENIZER_TEXTS], *spoken, *(["\n".join(CHAT_ROLES)] * len(spoken))]
    sizes = settings.scratch
    tokenizer = make_tokenizer(known, sizes.vocabulary_size, thinking=sizes.thinking)
    policy = Policy(make_model(tokenizer, sizes, seed), tokenizer)
    end = tokenizer.pad_token_id
    read = [(*tokenizer.encode(text, add_special_tokens=False), end) for text in texts]
    if settings.reads_demonstrations:
        chat = ChatTokens(tokenizer)
        units = [
            *(Tokens(ids, (True,) * len(ids)) for ids in read),
            *(_ended(tokenized(chat, example), end) for example in examples),
        ]
        random.Random(seed).shuffle(units)
        rows = packed(units, settings.row_tokens)
    else:
        rows = cut(read, settings.row_tokens)
    return policy, rows


def _inputs(data: Sequence[Artifact]) -> tuple[Input, ...]:
    return tuple(Input.of("data", item, str(place)) for place, item in enumerate(data))


def tokenized(chat: ChatTokens, example: Demonstration) -> Tokens:
    """Return the tokens of a worked example."""
    return chat.demonstration(
        [vars(message) for message in example.messages],
        [(turn.role, turn.content) for turn in example.turns],
        example.mode,
    )


def _ended(episode: Tokens, end: int) -> Tokens:
    """Return an episode with the mark that ends a document, which is learned too."""
    return Tokens((*episode.ids, end), (*episode.is_response, True))
