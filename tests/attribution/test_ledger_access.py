"""The answers that are possible for a student without a full ledger."""

import pytest

from tasks.attribution.replay import can_replay, replay_words, without_ledger
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import KeptRollout, LedgerCheckpoint, LedgerSettings, Manifest, Segment

DIGEST = "sha256:" + "ab" * 32
KEPT = KeptRollout(
    step=1,
    teacher="math",
    domain="math",
    prompt="one",
    score=1.0,
    ids=(1, 2),
    response=(1,),
    weight=1.0,
    sampler_log_probs=(-0.5,),
    advantages={"math": (0.1,)},
)


def ledger_in(folder, *, kept=2, checkpoints=1, segments=()):
    """Return a ledger as it would be read, with so many kept rollouts."""
    (folder / "rollouts.jsonl").write_text(f"{KEPT.model_dump_json()}\n" * kept)
    weights = LedgerCheckpoint(step=1, file="weights-00001.safetensors", digest=DIGEST)
    manifest = Manifest(
        settings=LedgerSettings(displacements=False),
        seed=0,
        sources=("math",),
        start=DIGEST,
        end=DIGEST,
        last_step=2,
        segments=segments,
        checkpoints=(weights,) * checkpoints,
    )
    return Ledger(folder, manifest)


def segment(change, **norms):
    return Segment(
        first_step=1,
        last_step=1,
        file="",
        start=DIGEST,
        end=DIGEST,
        norms=norms,
        change=change,
        lost=0.0,
    )


def test_each_possible_answer_has_its_cost(tmp_path):
    told = without_ledger("student@released", 65.2, ledger_in(tmp_path, kept=7))
    assert "its ledger holds no displacements" in told
    exact, replay, absence, likelihood = told.splitlines()[1:]
    assert exact.lstrip().startswith("(1) exact")
    assert "This takes about 1m 06s" in exact
    assert "`provost audit STUDENT --replay` computes displacements from the 7 " in replay
    assert "about 1m 06s" in replay
    assert "about 1m 06s" in absence
    assert likelihood.lstrip().startswith("(4) likelihood only")


@pytest.mark.parametrize(
    ("kept", "checkpoints", "lacks"), [(0, 1, "kept no rollouts"), (2, 0, "no weights to start")]
)
def test_a_ledger_that_cannot_be_replayed_names_what_is_missing(tmp_path, kept, checkpoints, lacks):
    ledger = ledger_in(tmp_path, kept=kept, checkpoints=checkpoints)
    assert not can_replay(ledger)
    told = without_ledger("student@released", 0.0, ledger)
    assert lacks in told
    assert "--replay" not in told
    assert "as long as the round itself" in told


def test_a_replayed_split_says_how_much_it_does_not_explain(tmp_path):
    # (3 + 1) of (4 + 4): half of the change
    parts = [segment(4.0, math=2.0, unreplayed=3.0), segment(4.0, math=3.5, unreplayed=1.0)]
    words = replay_words(ledger_in(tmp_path, segments=tuple(parts)))
    assert "its 2 kept rollouts" in words
    assert "(50% of its norm)" in words
    exact = ledger_in(tmp_path, segments=(segment(4.0, math=4.0, decay=0.1),))
    assert replay_words(exact) == ""
