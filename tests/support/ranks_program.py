"""What each rank runs in ``test_parallel``: a few updates on fixed rollouts; rank 0 writes them.

``python ranks_program.py FOLDER SETTINGS`` trains alone, under torchrun with as many ranks.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tasks.ledger.reader import Ledger
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.writer import LedgerWriter, digest_weights
from tasks.model import log_probs as log_probs_module
from tasks.model.files import load_model
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.model.shards import whole
from tasks.onpolicy.distributed.sharding import replica
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.settings import LoopSettings
from tasks.onpolicy.student_files import save_student
from tasks.platform.ranks import joined_ranks, num_ranks, rank
from tests.support.tiny_models import rollout, tokenizer

SOURCES = ["code", "math", "outcome"]


def rollouts():
    """Return seven rollouts of two teachers, none of equal length, in no order."""
    lengths = [(9, "math"), (5, "code"), (14, "math"), (7, "math"), (11, "code"), (6, "math")]
    lengths.append((23, "math"))
    return [
        rollout(
            [(7 * place + 13 * number) % 250 + 3 for place in range(length)],
            range(2, length),
            domain=domain,
            score=number % 2,
        )
        for number, (length, domain) in enumerate(lengths)
    ]


class Pull:
    """Two sources: a teacher that likes the tokens, and an outcome that math alone has."""

    def score(self, played):
        return [
            ScoredRollout(item, item.domain, outcome_advantage=item.grade.score) for item in played
        ]

    def begin_step(self, step, updates):
        self.seen = [[batch.teacher for batch in update] for update in updates]

    def end_step(self, step):
        return {}

    def prepare(self, batch):
        def losses(student_CV, chunk):
            student_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
            by_source = {batch.teacher: (student_C - 0.5 * student_C**2).neg()}
            if batch.teacher == "math":
                by_source["outcome"] = -batch.outcome_advantages_N[chunk] * student_C
            by_chance_CV = torch.zeros_like(student_CV)
            advantages = {name: -loss_C.detach() for name, loss_C in by_source.items()}
            return TokenLoss(by_source, {"nll": -student_C.detach()}, advantages, by_chance_CV)

        return losses


def main(folder, told):
    model = load_model(Path(told.pop("base")))
    state = told.pop("state", None)
    settings = LoopSettings(num_steps=4, warmup_steps=0, **told)
    learner = Learner(model, settings, 0.8, pad_id=0, sources=SOURCES, record=True)
    ledger = LedgerSettings(segment_steps=3, rollouts_per_teacher=2)
    recorder = LedgerRecorder(
        LedgerWriter(folder / "ledger", ledger, learner.optimizer, 5), 5, last_step=4
    )
    # Chunks of five tokens, so that ranks have different numbers of them.
    log_probs_module.LOGIT_BYTES = 5 * 4 * model.config.vocab_size
    metrics, objective = [], Pull()
    if state is not None:
        learner.load(Path(state))
    for step in range(1 if state is None else 3, 5):
        metrics.append(learner.update(objective, objective.score(rollouts()), step, recorder))
        if step == 2:
            learner.save(folder)
    if state is None:
        check_ledger(folder / "ledger", learner.optimizer)
    save_student(learner, tokenizer(), folder / "student")
    tensors = {f"weight/{name}": whole(t) for name, t in learner.optimizer.masters().items()}
    for part, moved in learner.optimizer.segment().items():
        tensors |= {f"{part}/{name}": whole(tensor) for name, tensor in moved.items()}
    tensors["logits"] = alone_logits(model)
    if rank() == 0:
        save_file({name: t.float().contiguous() for name, t in tensors.items()}, folder / "w")
        (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / f"seen-{rank()}-of-{num_ranks()}.json").write_text(json.dumps(objective.seen))


def check_ledger(folder, optimizer):
    """Check on rank 0 that the parts that were written are those of the weights."""
    end = {name: whole(tensor) for name, tensor in optimizer.masters().items()}
    if rank() == 0:
        ledger = Ledger.open(folder)
        assert [(s.first_step, s.last_step) for s in ledger.manifest.segments] == [(1, 3), (4, 4)]
        assert ledger.manifest.end == digest_weights(end)
        for name in [name for name in end if "norm.weight" in name]:
            now = torch.ones_like(end[name])
            for segment in ledger.manifest.segments:
                now = ledger.opened(segment).parts_of(name, now)[1]
            assert torch.equal(now, end[name])


@torch.no_grad()
def alone_logits(model):
    """Return logits that rank 0 alone asks for, as a sampler does, by both ways to the head."""
    item = rollouts()[0]
    with replica(model):
        if rank() > 0:
            return torch.zeros(())
        tokens = pad_right([item.ids], [item.is_response], 0)
        ours = chosen_logits(model, tokens).float()
        own = model(tokens.ids_BS).logits[0, 1:-1].float()
        torch.testing.assert_close(ours, own, rtol=5e-2, atol=5e-2)
        return ours


if __name__ == "__main__":
    with joined_ranks():
        main(Path(sys.argv[1]), json.loads(sys.argv[2]))
