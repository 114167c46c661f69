"""What would otherwise fail at the end of a climb or foundation, tried before it trains."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.store.store import read_tree
from tasks.contracts.handover import Domain
from tasks.contracts.refusal import RefusedError
from tasks.model.settings import ScratchSettings
from tasks.platform.progress import report
from tasks.platform.resources import free_storage
from tasks.platform.step_runner import StepRunner
from tasks.rollout.client import EnvironmentClient, EnvironmentFailure, Episode
from tasks.rollout.domains import open_environment, stored_demonstrations, stored_prompts
from tasks.rollout.environment import Demonstration
from tasks.rollout.fit import cut_turns, longest_prompt, longest_turn, reader_of, without_room
from tasks.rollout.room import refuse_long_prompt
from tasks.rollout.settings import SamplingSettings

_STATE = 3
"""Size of a training state, in checkpoints: weights and two moments."""
_FOUNDED = 2
"""Checkpoints of a foundation: base and fork point."""
_FP32 = 4
_GIB = 1 << 30


@contextmanager
def refusing_count(count: int, setting: str) -> Iterator[None]:
    """Name the setting behind the number of rows that a domain could not make.

    Raises:
        RefusedError: for an EnvironmentFailure within.
    """
    try:
        yield
    except EnvironmentFailure as error:
        raise RefusedError(
            "no-data-set",
            f"{error}\nThe number of rows is {count}, {setting}: if there are fewer, lower it",
        ) from error


def try_environment(
    worker: EnvironmentClient, demonstrations: Sequence[Demonstration], seed: int
) -> None:
    """Have the environment answer and grade one demonstration, whatever the score.

    Raises:
        EnvironmentFailure: where it cannot.
    """
    (prompt,) = worker.prompts("train", 1, seed)
    shown = (each for each in demonstrations if each.messages == prompt.messages)
    turns = next(shown, demonstrations[0]).turns
    if worker.max_turns > 1:
        worker.respond([Episode(prompt, turns[:1])])
    worker.grade([Episode(prompt, turns)])


def check_climb(
    runner: StepRunner,
    start: Artifact,
    domain: Domain,
    sampling: SamplingSettings,
    num_checkpoints: int,
    free: Callable[[Path], int] = free_storage,
) -> Domain:
    """Return the domain, if its episodes fit into the model and the climb onto the disk.

    Where ``num_checkpoints`` is 0, nothing is to be trained.

    Raises:
        RefusedError: for a prompt of any split that leaves no room for a turn, a template that
            cannot play several turns where the environment has them, demonstrations that are
            longer than a sampled turn, and a disk without room for the climb's checkpoints.
    """
    if runner.only_finds:  # who goes on to make something tries it
        return domain
    refuse_unfit(runner, start, domain, sampling, trains=num_checkpoints > 0)
    if num_checkpoints:
        refuse_small_disk(runner, start, domain, num_checkpoints, free)
    return domain


def refuse_unfit(
    runner: StepRunner,
    start: Artifact,
    domain: Domain,
    sampling: SamplingSettings,
    *,
    trains: bool,
) -> None:
    """Try the prompts of every split and the demonstrations against the start; no weight is read.

    Of a teacher that is only evaluated (``trains`` is False), demonstrations prove nothing.
    """
    name = domain.settings.name
    reader = reader_of(runner.store, start, domain.settings.system_prompt)
    with open_environment(
        runner.store, domain.environment, name, allow_unconfined=sampling.allow_unconfined
    ) as worker:
        num_turns = worker.max_turns
    if num_turns > 1:
        reader.chat.refuse_without_tools()
    splits = (domain.train, domain.validation, domain.evaluation)
    prompts = [prompt for split in splits for prompt in stored_prompts(runner.store, split)]
    longest = longest_prompt(reader, name, prompts)
    limit, turn = reader.positions, sampling.max_new_tokens
    if limit is not None:
        refuse_long_prompt(name, longest.prompt, longest.taken, turn, limit)
        if ends_early := without_room(longest, num_turns, turn, limit):
            _warn(f"{ends_early}. Lower max_new_tokens, unless episodes are short")
    if trains:
        shown = stored_demonstrations(runner.store, domain.demonstrations)
        lengths = [longest_turn(reader.chat, each) for each in shown]
        if said := cut_turns(name, lengths, turn):
            _warn(said)


def _warn(said: str) -> None:
    report("check", 0, 0, message=f"warning: {said}")


def refuse_small_disk(
    runner: StepRunner,
    start: Artifact,
    domain: Domain,
    num_checkpoints: int,
    free: Callable[[Path], int],
) -> None:
    """Compare what a climb stores at least with the room; a finished climb stores nothing more."""
    if "://" in runner.store.uri:  # a bucket has no known end
        return
    size = sum(file.size for file in read_tree(runner.store, start.digest).files)
    needed, room = size * (num_checkpoints + _STATE), free(Path(runner.store.uri))
    if needed > room and not _is_climbed(runner, domain):
        raise _too_small(
            f"the climb of {domain.settings.name} stores {num_checkpoints} checkpoints",
            runner.store.uri,
            size=size,
            needed=needed,
            room=room,
            remedy=", or raise rung_every to keep fewer checkpoints",
        )


def check_foundation(
    runner: StepRunner,
    data: list[Artifact],
    source: str,
    scratch: ScratchSettings,
    free: Callable[[Path], int] = free_storage,
) -> list[Artifact]:
    """Return the data, if base, fork point and a training state fit onto the disk.

    The base is the model of the folder ``source``, or made from ``scratch`` without one. A model
    of the Hub was compared with the disk when it was fetched, which comes first.

    Raises:
        RefusedError: for a disk without that room; a finished foundation stores nothing more.
    """
    folder = Path(source)
    if runner.only_finds or "://" in runner.store.uri or (source and not folder.is_dir()):
        return data
    files = (file for file in folder.rglob("*.safetensors")) if source else ()
    size = sum(file.stat().st_size for file in files) or _FP32 * _num_parameters(scratch)
    needed, room = size * (_FOUNDED + _STATE), free(Path(runner.store.uri))
    if needed > room and not _is_founded(runner, data):
        raise _too_small(
            "the foundation stores a base and a fork point",
            runner.store.uri,
            size=size,
            needed=needed,
            room=room,
        )
    return data


def _num_parameters(scratch: ScratchSettings) -> int:
    """Return about how many weights a model from scratch has; input and output share theirs."""
    heads = 2 * (scratch.num_heads + scratch.num_key_value_heads)
    per_layer = heads * scratch.head_size + 3 * scratch.feed_forward_size
    return scratch.hidden_size * (scratch.num_layers * per_layer + scratch.vocabulary_size)


def _too_small(
    what: str, uri: str, *, size: int, needed: int, room: int, remedy: str = ""
) -> RefusedError:
    return RefusedError(
        "disk-too-small",
        f"{what} of {size / _GIB:.2f} GiB and a training state of {_STATE} times as much, "
        f"{needed / _GIB:.2f} GiB in all, but {room / _GIB:.2f} GiB are free under {uri}: free "
        f"some storage{remedy}",
    )


def _is_founded(runner: StepRunner, data: Sequence[Artifact]) -> bool:
    """Return whether a fork point from this data is finished."""
    wanted = {artifact.digest for artifact in data}
    for digest in runner.records.all():
        record = runner.records.read(digest)
        if record.kind == "sft" and wanted <= {item.artifact for item in record.inputs}:
            return runner.records.finished(digest) is not None
    return False


def _is_climbed(runner: StepRunner, domain: Domain) -> bool:
    """Return whether a climb on these prompts is finished."""
    for digest in runner.records.all():
        record = runner.records.read(digest)
        if record.kind in {"rl", "external"} and domain.train.digest in {
            i.artifact for i in record.inputs
        }:
            return runner.records.finished(digest) is not None
    return False
