"""The supervised steps: make the base, and fine-tune on demonstrations."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import StageLabel
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_demonstrations
from tasks.rollout.environment import Demonstration
from tasks.sft.brought import bring_base
from tasks.sft.packing import cut, packed
from tasks.sft.scratch import CHAT_ROLES, documents, make_model, make_tokenizer
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.train import Log, Watch, supervise
from tasks.sft.trainer_state import states_of

_NUM_TOKENIZER_TEXTS = 8000


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
        source=source_digest("sft"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        examples = [d for artifact in data for d in stored_demonstrations(runner.store, artifact)]
        watch = Watch(
            _log("base", settings.training.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        return _from_scratch(examples, settings, seed, folder, watch)

    return runner.find_or_make(derivation, "checkpoint", make, owner="foundation")


def finetune(
    runner: StepRunner,
    start: Artifact,
    data: Sequence[Artifact],
    settings: SftSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return ``start`` fine-tuned on the demonstrations of ``data``."""
    derivation = Derivation(
        project=runner.project,
        kind="sft",
        inputs=(Input.of("start", start), *_inputs(data)),
        source=source_digest("sft"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report(stage.name, 0, settings.num_steps, message="load")
        policy = load_policy(runner.store.tree(start.digest))
        chat = ChatTokens(policy.tokenizer)
        examples = [d for artifact in data for d in stored_demonstrations(runner.store, artifact)]
        random.Random(seed).shuffle(examples)
        rows = [_tokenized(chat, example) for example in examples]
        watch = Watch(
            _log(stage.name, settings.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        supervise(policy, rows, settings, seed, folder / "trainer", watch)
        saved = save_policy(policy, folder / "model")
        load_policy(saved)  # before a record says that it is finished
        return saved

    return runner.find_or_make(derivation, "checkpoint", make, stage.owner)


def _from_scratch(
    examples: Sequence[Demonstration],
    settings: BaseSettings,
    seed: int,
    folder: Path,
    watch: Watch,
) -> Path:
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
            *(_ended(_tokenized(chat, example), end) for example in examples),
        ]
        random.Random(seed).shuffle(units)
        rows = packed(units, settings.row_tokens)
    else:
        rows = cut(read, settings.row_tokens)
    supervise(policy, rows, settings.training, seed, folder / "trainer", watch)
    return save_policy(policy, folder / "model")


def _inputs(data: Sequence[Artifact]) -> tuple[Input, ...]:
    return tuple(Input.of("data", item, str(place)) for place, item in enumerate(data))


def _tokenized(chat: ChatTokens, example: Demonstration) -> Tokens:
    return chat.demonstration(
        [vars(message) for message in example.messages],
        [(turn.role, turn.content) for turn in example.turns],
        example.mode,
    )


def _ended(episode: Tokens, end: int) -> Tokens:
    """Return an episode with the mark that ends a document, which is learned too."""
    return Tokens((*episode.ids, end), (*episode.is_response, True))


def _log(stage: str, num_steps: int, measurements: Measurements) -> Log:
    def log(step: int, metrics: Mapping[str, float]) -> None:
        measurements.add(step, metrics)
        report(stage, step, num_steps, loss=metrics["loss"])

    return log
