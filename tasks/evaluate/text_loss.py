"""How well a checkpoint still predicts text of its pre-training, as a recorded step.

Shapes: N predicted tokens of a batch, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from lineage.records.record import Derivation, Input
from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_policy
from tasks.model.log_probs import chosen_hidden, chunks, head_logits, pad_right, token_log_probs
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_texts
from tasks.supervised.packing import cut

ROW_TOKENS = 64
_ROWS = 32
"""Number of rows that are read together."""


class TextLoss(Frozen):
    """A checkpoint on text."""

    nats: float
    """Mean of -log p of a token; its exponential is the perplexity."""
    num_tokens: int


def measure_text(runner: StepRunner, checkpoint: Artifact, text: Artifact) -> Artifact:
    """Return how well a checkpoint predicts documents one after the other.

    Raises:
        RefusedError: ``other-kind`` for anything but text, ``too-little-text`` for less than a row.
    """
    derivation = Derivation(
        project=runner.project,
        kind="text_loss",
        inputs=(Input.of("checkpoint", checkpoint), Input.of("text", text)),
        source=source_digest("evaluate", "supervised"),
        settings={"row_tokens": ROW_TOKENS},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = on_rank_device(load_policy(runner.store.tree(checkpoint.digest)))
        found = text_loss(policy, [document.text for document in stored_texts(runner.store, text)])
        measurements.add(0, {"text_loss": found.nats})
        path = folder / "text_loss.json"
        path.write_text(found.model_dump_json(), encoding="utf-8")
        return path

    return runner.find_or_make(derivation, "measurement", make)


def read_text_loss(runner: StepRunner, artifact: Artifact) -> TextLoss:
    """Return a stored measurement."""
    return TextLoss.model_validate_json(runner.store.get_bytes(artifact.digest))


@torch.no_grad()
def text_loss(policy: Policy, texts: Sequence[str]) -> TextLoss:
    """Return the mean of -log p over the tokens of rows, each row's first token left out."""
    chat = ChatTokens(policy.tokenizer)
    rows = cut([(*chat.text(text), chat.pad_id) for text in texts], ROW_TOKENS)
    if not rows:
        raise RefusedError(
            "too-little-text",
            f"the text has less than a row of {ROW_TOKENS} tokens: give more text",
        )
    total, count = 0.0, 0
    for first in range(0, len(rows), _ROWS):
        ids = [row.ids for row in rows[first : first + _ROWS]]
        batch = pad_right(ids, [(False, *[True] * (len(row) - 1)) for row in ids], chat.pad_id)
        batch = batch.to(policy.model.device)
        hidden_ND = chosen_hidden(policy.model, batch)
        for chunk in chunks(hidden_ND, policy.model.config.vocab_size):
            logits_NV = head_logits(policy.model, hidden_ND[chunk])
            total -= float(token_log_probs(logits_NV, batch.tokens_N[chunk]).double().sum())
        count += len(hidden_ND)
    return TextLoss(nats=total / count, num_tokens=count)
