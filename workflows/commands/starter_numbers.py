"""The numbers of a new team's climb: by the model that it starts from, and by its demonstrations.

An answer that is longer than ``max_new_tokens`` is cut and graded as it is. So the limit of a turn
is measured from the demonstrations, in tokens of the fork point where the store has one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lineage.artifacts import Artifact
from lineage.errors import UnknownReferenceError
from lineage.registry.registry import Registry
from lineage.store.store import Store
from tasks.rollout.environment import Demonstration

FROM_SCRATCH = '''\
"""The numbers of the $team team's climb."""

from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings($domain)
SFT = SftSettings(num_steps=500, learning_rate=1e-3)
RL = RlSettings(loop=LoopSettings(num_steps=60, learning_rate=2e-4, rung_every=20))
'''
"""Numbers for the demo's model, which learns its domain here."""

PRE_TRAINED = '''\
"""The numbers of the $team team's climb.

They are for a pre-trained fork point that follows instructions: those of the proof in
benchmarks/real. A small model from scratch, such as the demo's, needs higher learning rates:
1e-3 for SFT, 2e-4 for RL.
"""

from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings($domain)
SFT = SftSettings(
    num_steps={num_steps},
    batch_size=8,
    learning_rate=2e-4,
    warmup_steps=10,
    weight_decay=0.0,
)
RL = RlSettings(
    loop=LoopSettings(num_steps=40, learning_rate=1e-5, rung_every=20),
    sampling=SamplingSettings(max_new_tokens={max_new_tokens}),
    prompts_per_step=4,
    rollouts_per_prompt=8,
)
'''
"""Numbers for a pre-trained model; its answers may be as long as the demonstrations."""


UNMEASURED = 256
"""Tokens of a sampled turn until the demonstrations are measured."""
_FORK_POINT = "fork-point@released"
_MARGIN = 1.25
"""Room for sampled answers that are longer than the longest demonstration. Ours."""
_ROUNDED_TO = 8
_CHARACTERS = 2
"""Characters of a token where no tokenizer is known: fewer than in prose (about 4), because many
tokenizers split numbers into digits. Ours."""
_BATCH = 8
_MOST_STEPS, _FEWEST_STEPS = 150, 20
"""The supervised stage is one pass over the demonstrations, between these numbers of steps."""


def climb_numbers(num_demonstrations: int, max_new_tokens: int) -> str:
    """Return the template of ``settings.py`` for a pre-trained model."""
    steps = min(_MOST_STEPS, max(_FEWEST_STEPS, num_demonstrations // _BATCH))
    return PRE_TRAINED.format(num_steps=steps, max_new_tokens=max_new_tokens)


@dataclass(frozen=True)
class TurnLimit:
    """The most tokens of a sampled turn, and where the number comes from."""

    max_new_tokens: int
    says: str


def turn_limit(store: Store, demonstrations: Sequence[Demonstration]) -> TurnLimit:
    """Return a limit that the longest demonstration, at least one, fits into with a margin."""
    digest = _fork_point(store)
    if digest:
        from tasks.rollout.fit import longest_turn, reader_of

        chat = reader_of(store, Artifact(kind="checkpoint", digest=digest)).chat
        longest = max(longest_turn(chat, each) for each in demonstrations) + 1
        by = f"of {_FORK_POINT}"
    else:
        characters = max(
            len(turn.content)
            for each in demonstrations
            for turn in each.turns
            if turn.role == "assistant"
        )
        longest = math.ceil(characters / _CHARACTERS) + 1
        by = f"at {_CHARACTERS} characters a token, because the store has no {_FORK_POINT}"
    limit = math.ceil(longest * _MARGIN / _ROUNDED_TO) * _ROUNDED_TO
    return TurnLimit(
        limit,
        f"max_new_tokens = {limit}: the longest turn of {len(demonstrations)} demonstrations has "
        f"{longest} tokens with its end ({by}), and a quarter more is for longer answers",
    )


def _fork_point(store: Store) -> str:
    """Return the digest of the released fork point; "" without one."""
    try:
        return Registry(store).resolve(_FORK_POINT).digest
    except UnknownReferenceError:
        return ""
