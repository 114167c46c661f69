"""The pool of teachers larger than a rank, scored by name as those of ``TeacherPool`` are.

Every pass through a body needs all ranks, in the same order. ``LockstepCache`` makes all passes of
a step when it begins, so that later no rank waits for another because of a teacher.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

import torch
from torch import Tensor

from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits, refuse_other_logits
from tasks.mopd.teacher_pool.adapters import AdapterSwitch
from tasks.mopd.teacher_pool.checkpoint import TeacherSource
from tasks.mopd.teacher_pool.device import PoolCounts
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache, ScoreRequest, batch_key, to_host
from tasks.mopd.teacher_pool.opening import OpenedTeacher, Opener, naming, teacher_named
from tasks.mopd.teacher_pool.pool import PoolSettings
from tasks.mopd.teacher_pool.sharded import ShardedModule
from tasks.onpolicy.microbatch import idle_tokens
from tasks.platform.ranks import exchange_json, num_ranks, rank

ShardedTeacher = OpenedTeacher[ShardedModule]
"""A teacher of which each rank holds a share."""


class ShardedPool:
    """Teachers by name, of which the ranks together hold one."""

    def __init__(self, teachers: Mapping[str, ShardedTeacher], settings: PoolSettings) -> None:
        """Take opened teachers; ``open_sharded_teachers`` makes them."""
        self._teachers = dict(teachers)
        self._device, self._temperature = settings.device, settings.temperature
        self.counts = PoolCounts()
        self._adapters = AdapterSwitch(settings.device)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._expected: deque[str] = deque()
        self._ahead: tuple[str, Future[None] | None] = "", None
        self._body: ShardedTeacher | None = None
        self._head: ShardedTeacher | None = None

    @property
    def names(self) -> list[str]:
        """The teachers in the pool, sorted."""
        return sorted(self._teachers)

    @property
    def order(self) -> list[str]:
        """The teachers in the order in which the fewest weights are loaded."""
        return sorted(self._teachers, key=lambda name: (self._teachers[name].digest, name))

    def hidden_bytes(self, teacher: str) -> int:
        """Return the bytes of one token's hidden state."""
        return teacher_named(self._teachers, teacher).template.hidden_bytes

    def expect(self, teachers: Sequence[str]) -> None:
        """Announce the coming calls of ``hidden``, so that the next teacher's files are read."""
        self._expected = deque(teachers)

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens. Collective."""
        sharded = teacher_named(self._teachers, teacher)
        self._load_body(sharded)
        self._adapters.apply(sharded.adapter, sharded.template.model)
        self._read_ahead(teacher)
        return chosen_hidden(sharded.template.model, tokens.to(self._device))

    @torch.no_grad()
    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32.

        They are divided by the sampling temperature. No other rank is needed.
        """
        sharded = teacher_named(self._teachers, teacher)
        self._load_head(sharded)
        self._adapters.apply(sharded.adapter, sharded.template.model)
        return head_logits(sharded.template.model, hidden_CD, self._temperature)

    def check_logits(self) -> None:
        """Refuse an architecture that lacks weights or has unknown logits. Collective.

        One teacher of each is loaded: checkpoints of an architecture have the same tensors.
        """
        for name, teacher in {id(t.template): (n, t) for n, t in self._teachers.items()}.values():
            with naming(name):
                self._load_body(teacher)
                self._load_head(teacher)
                refuse_other_logits(teacher.template.model)

    def _load_body(self, teacher: ShardedTeacher) -> None:
        """Overwrite the shards; those of another architecture are freed first."""
        if self._body is not None and self._body.digest == teacher.digest:
            return
        if self._body is not None and self._body.template is not teacher.template:
            self._body.template.free_body()
        self._body = None  # a load that fails halfway leaves no teacher
        digest, advice = self._ahead
        self.counts.loads += 1
        self.counts.prefetch_hits += digest == teacher.digest and bool(advice and advice.done())
        started = perf_counter()
        self.counts.bytes_read += teacher.template.load_body(teacher.checkpoint)
        self.counts.seconds_waited += perf_counter() - started
        self._body = teacher

    def _load_head(self, teacher: ShardedTeacher) -> None:
        if self._head is not None and self._head.digest == teacher.digest:
            return
        if self._head is not None and self._head.template is not teacher.template:
            self._head.template.free_head()
        teacher.template.load_head(teacher.checkpoint)
        self._head = teacher

    def _read_ahead(self, teacher: str) -> None:
        """Let the kernel read the files of the teacher that is needed next."""
        while self._expected and self._expected[0] == teacher:
            self._expected.popleft()
        following = self._teachers[self._expected[0]] if self._expected else None
        if following is not None and following.digest not in (self._ahead[0], self._digest_now):
            read = self._reader.submit(following.checkpoint.read_ahead)
            self._ahead = following.digest, read

    @property
    def _digest_now(self) -> str:
        return self._body.digest if self._body is not None else ""


class LockstepCache(HiddenCache):
    """Hidden states of sharded teachers: all passes of a step are made when it begins.

    Then each rank reads its own states and needs no other. A rank with fewer microbatches of a
    teacher than another, or with none, joins the other's passes with two tokens.
    """

    makes_all_passes_first = True

    def __init__(self, pool: ShardedPool) -> None:
        """Take the pool; the cache is empty."""
        super().__init__(pool)
        self._order = pool.order
        self._idle = idle_tokens(pad_id=0)  # any id: no one reads the states
        self._again: dict[tuple[str, bytes], Tensor] = {}

    def score_ahead(
        self, requests: Sequence[ScoreRequest], again: Sequence[ScoreRequest] = ()
    ) -> None:
        """Drop the last step's states, and make all passes of this step. Collective.

        Args:
            requests: What this rank will read, each a teacher and a microbatch.
            again: What it will have scored once more, to compare.
        """
        self._kept.clear()
        self._again.clear()
        mine = [(*request, False) for request in requests] + [(*one, True) for one in again]
        by_teacher = {
            name: [(tokens, is_again) for teacher, tokens, is_again in mine if teacher == name]
            for name in self._order
        }
        turns = list(_turns({name: len(passes) for name, passes in by_teacher.items()}))
        self._pool.expect([teacher for teacher, _ in turns])
        for teacher, place in turns:
            passes = by_teacher[teacher]
            if place >= len(passes):
                self._pool.hidden(teacher, self._idle)
                continue
            tokens, is_again = passes[place]
            states = self._again if is_again else self._kept
            states[teacher, batch_key(tokens)] = to_host(self._pool.hidden(teacher, tokens))

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the states [N, D] on the device of ``tokens``."""
        return self._read(self._kept, teacher, tokens)

    def anew(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the states of the second pass."""
        return self._read(self._again, teacher, tokens)

    def _read(
        self, states: Mapping[tuple[str, bytes], Tensor], teacher: str, tokens: TokenBatch
    ) -> Tensor:
        found_ND = states.get((teacher, batch_key(tokens)))
        if found_ND is None:
            raise RuntimeError(
                f"teacher {teacher!r} has no hidden states of a microbatch that was not announced "
                "when the step began, and other ranks would wait for a pass of it: announce it"
            )
        self.hits += 1
        return found_ND.to(tokens.ids_BS.device, non_blocking=True)


def _turns(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield teacher and place of every pass that any rank makes, in this order. Collective."""
    of_ranks = exchange_json(dict(counts))
    for teacher in counts:
        most = max(int(str(of_rank[teacher])) for of_rank in of_ranks if isinstance(of_rank, dict))
        yield from ((teacher, place) for place in range(most))


def open_sharded_teachers(sources: Sequence[TeacherSource], settings: PoolSettings) -> ShardedPool:
    """Return a pool of the teachers, all checked; equal checkpoints are opened once. Collective.

    Each rank looks at its share of the weights for NaN and infinity.

    Raises:
        ValueError: as ``Opener.open_all``, or for an architecture that cannot be sharded.
    """
    share = slice(rank(), None, num_ranks())
    opener = Opener(ShardedModule, settings.device, settings.vocabulary_size, share)
    teachers = opener.open_all(sources)
    pool = ShardedPool(teachers, settings)
    pool.check_logits()
    return pool
