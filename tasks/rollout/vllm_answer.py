"""What a vLLM server answers to a request for one turn, checked token by token."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from tasks.rollout.vllm_client import VllmError

ROUNDED = 1e-6
"""By how much a log-probability may exceed 0."""


class _Answered(BaseModel):
    """The fields that are needed; vLLM sends more."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _LogProbs(_Answered):
    token_logprobs: list[float]


class _Choice(_Answered):
    token_ids: list[int]
    prompt_token_ids: list[int]
    logprobs: _LogProbs
    finish_reason: str


class _Usage(_Answered):
    completion_tokens: int


class _Completion(_Answered):
    model: str
    choices: list[_Choice]
    usage: _Usage


def read_turn(
    answer: JsonValue,
    context: Sequence[int],
    served_model: str,
    end_id: int,
    max_new_tokens: int,
) -> tuple[list[int], list[float]]:
    """Return a turn's token ids and their log-probabilities in nats.

    Raises:
        VllmError: if anything is missing, or is not what was asked for.
    """
    try:
        completion = _Completion.model_validate(answer)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}"
            for one in error.errors()
        )
        raise VllmError(
            f"the answer lacks what a rollout needs ({wrong}): the server must be vLLM as locked "
            "in images/rollout, which returns token ids and log-probabilities when asked"
        ) from error
    problem = _problem(completion, context, served_model, end_id, max_new_tokens)
    if problem:
        raise VllmError(problem)
    choice = completion.choices[0]
    return choice.token_ids, [min(nats, 0.0) for nats in choice.logprobs.token_logprobs]


def _problem(
    completion: _Completion,
    context: Sequence[int],
    served_model: str,
    end_id: int,
    max_new_tokens: int,
) -> str | None:
    """Say what is wrong with an answer, or None."""
    if completion.model != served_model:
        return f"the answer is by {completion.model!r}, and {served_model!r} was asked"
    if len(completion.choices) != 1:
        return f"there are {len(completion.choices)} turns in the answer, and one was asked for"
    choice = completion.choices[0]
    if choice.prompt_token_ids != list(context):
        return (
            f"the server read {len(choice.prompt_token_ids)} tokens where {len(context)} others "
            "were sent: its tokenizer must add nothing to token ids"
        )
    counts = (
        len(choice.token_ids),
        len(choice.logprobs.token_logprobs),
        completion.usage.completion_tokens,
    )
    if len(set(counts)) != 1 or not 1 <= counts[0] <= max_new_tokens:
        return (
            f"the answer holds {counts[0]} tokens and {counts[1]} log-probabilities, says that it "
            f"wrote {counts[2]}, and may hold 1 to {max_new_tokens}"
        )
    if not all(math.isfinite(nats) and nats <= ROUNDED for nats in choice.logprobs.token_logprobs):
        return "a log-probability of the answer is no finite number of at most 0"
    return _wrong_end(choice, end_id, max_new_tokens)


def _wrong_end(choice: _Choice, end_id: int, max_new_tokens: int) -> str | None:
    ended = end_id in choice.token_ids
    right = {
        "stop": choice.token_ids[-1] == end_id and end_id not in choice.token_ids[:-1],
        "length": len(choice.token_ids) == max_new_tokens and not ended,
    }
    if right.get(choice.finish_reason, False):
        return None
    return (
        f"the turn ended by {choice.finish_reason!r} after {len(choice.token_ids)} tokens, the "
        f"last of them {choice.token_ids[-1]}: it must end at token {end_id} or after "
        f"{max_new_tokens}; start the server with --generation-config vllm, so that it has no "
        "stop tokens of its own, and with a --max-model-len that context and turn fit into"
    )
