"""What reading shared prefixes once saves of a learner's pass, against reading every row whole.

Both ways in turns on the same batches with the demo's model: the teacher's forward pass, and the
student's forward and backward. Each batch has rows of as many tokens of their own, behind more and
more that all rows share, as a system prompt is shared; then behind prompts that eight responses
each share.

    python -m benchmarks.step.shared_beginning
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.common.circumstances import write_result
from benchmarks.common.statistics import spread
from benchmarks.step.case import Case, Scene
from tasks.model.kernels import shared_prefixes
from tasks.model.log_probs import TokenBatch, chosen_hidden, pad_right

SHARED = (0, 1, 2, 4, 8, 16, 64, 256)
GROUPED = (16, 64, 128)
GROUP = 8
"""Responses to a prompt."""
OWN, RESPONSE, TOKENS = 48, 24, 2048
ROUNDS = 15


def main() -> None:
    """Measure all sizes and write the table."""
    scene = Scene(Case())
    model = scene.student()
    shared_prefixes.LEAST_SAVED = 0.0  # here packing is what is to be measured, also where small
    rows = [_row(model, _batch(shared)) | {"shared": shared} for shared in SHARED]
    groups = [_row(model, _groups(prompt)) | {"prompt": prompt} for prompt in GROUPED]
    content = {"own": OWN, "rows": rows, "responses_per_prompt": GROUP, "groups": groups}
    write_result("shared_beginning", "cpu", content)


def _row(model: PreTrainedModel, packed: TokenBatch) -> dict[str, Any]:
    plain = replace(packed, runs=(), lengths=())
    return {
        "rows": len(packed.ids_BS),
        "tokens_saved": round(1 - packed.num_read / plain.num_read, 3),
        "forward": _ratio(lambda batch: _forward(model, batch), plain, packed),
        "forward_and_backward": _ratio(lambda batch: _learn(model, batch), plain, packed),
    }


def _batch(num_shared: int) -> TokenBatch:
    generator = torch.Generator().manual_seed(num_shared)
    # At least two rows, or nothing could be shared.
    num_rows = max(2, TOKENS // (num_shared + OWN))
    draw = torch.randint(5, 380, (num_rows, num_shared + OWN), generator=generator)
    draw[:, :num_shared] = draw[0, :num_shared]
    draw[0, num_shared] = 3  # or rows might begin alike by chance
    draw[1:, num_shared] = 4
    chosen = [[False] * (num_shared + OWN - RESPONSE) + [True] * RESPONSE] * num_rows
    return pad_right(draw.tolist(), chosen, pad_id=0)


def _groups(prompt: int) -> TokenBatch:
    """Return responses to prompts, of which neighbors begin with different tokens."""
    generator = torch.Generator().manual_seed(prompt)
    num_prompts = max(2, TOKENS // (GROUP * (prompt + OWN)))
    draw = torch.randint(5, 380, (num_prompts * GROUP, prompt + OWN), generator=generator)
    for place in range(num_prompts):
        rows = slice(place * GROUP, (place + 1) * GROUP)
        draw[rows, :prompt] = draw[place * GROUP, :prompt].clone()
        draw[rows, 0] = 3 + place % 2
    chosen = [[False] * (prompt + OWN - RESPONSE) + [True] * RESPONSE] * len(draw)
    return pad_right(draw.tolist(), chosen, pad_id=0)


@torch.no_grad()
def _forward(model: PreTrainedModel, batch: TokenBatch) -> None:
    chosen_hidden(model, batch)


def _learn(model: PreTrainedModel, batch: TokenBatch) -> None:
    hidden_ND = chosen_hidden(model, batch)
    hidden_ND.backward(torch.ones_like(hidden_ND))
    model.zero_grad()


def _ratio(work: Callable[[TokenBatch], None], plain: TokenBatch, packed: TokenBatch) -> Any:  # noqa: ANN401
    """Return how many times faster the packed pass is, in processor time of one thread."""

    def seconds(batch: TokenBatch) -> float:
        started = time.process_time()
        work(batch)
        return time.process_time() - started

    for batch in (plain, packed):
        seconds(batch)
    return spread([seconds(plain) / seconds(packed) for _ in range(ROUNDS)])


if __name__ == "__main__":
    main()
