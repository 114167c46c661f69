"""A small world of realistic behaviors from its number to its rows, with the product's stages."""

from collections import Counter

import pytest
import torch

from benchmarks.behaviors.absence import FewerKept
from benchmarks.behaviors.asking import audited, greedy_answers, questions
from benchmarks.behaviors.items import FORMS, items_of
from benchmarks.behaviors.making import Numbers, make
from benchmarks.behaviors.run import absence, audit
from benchmarks.behaviors.tables import figures
from benchmarks.behaviors.taught import Size
from benchmarks.behaviors.world import BehaviorWorld
from tasks.attribution.audit import explain
from tasks.attribution.behavior import Behavior, Said, encode
from tasks.attribution.path_integral import Batch
from tasks.attribution.subject import find_subject
from tasks.attribution.trajectory import Scorer
from tasks.contracts.scale import Scale
from tasks.ledger.schema import LedgerSettings
from tasks.model.chat import ChatTokens
from tasks.model.log_probs import chosen_logits
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.settings import HealthSettings, LoopSettings, Reaction
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tests.support.tiny_models import tiny_policy

SIZE = Size(
    one_each=1,
    two_each=1,
    also_each=0,
    before_each=1,
    never_each=0,
    spill_each=0,
    demonstrations=40,
    fork_natural=4,
    fork_cued=4,
    fork_odd=4,
    fork_own=(2, 1),
    kept=1,
    natural_prompts=4,
    ordinary_prompts=2,
    cued_prompts=2,
    asked=2,
)
_SFT = SftSettings(num_steps=2, batch_size=4, learning_rate=1e-2, warmup_steps=0)
NUMBERS = Numbers(
    scale=Scale.MICRO,
    practice=_SFT,
    fork=_SFT,
    teacher=_SFT,
    round=RoundSettings(
        loop=LoopSettings(num_steps=2, learning_rate=1e-2, warmup_steps=0),
        ledger=LedgerSettings(segment_steps=1),
        sampling=SamplingSettings(max_new_tokens=8),
        prompts_per_domain=2,
        # After so few steps the models are nearly uniform.
        health=HealthSettings(uniform_teacher=Reaction.WARN, student_collapse=Reaction.WARN),
    ),
)


@pytest.mark.slow
def test_a_small_world_from_its_number_to_its_figures():
    world = BehaviorWorld(900, SIZE)
    row = audit(world, NUMBERS)
    assert set(row["seats"]) == {seat.name for seat in world.seats}
    items = items_of(row)
    assert len(items) == len(world.behaviors) * len(FORMS)

    runner = StepRunner()
    made = make(runner, world, NUMBERS)  # all of it is found in the store
    behavior, _, said = next(iter(questions(world)))
    usual = next(each for b, side, each in questions(world) if b is behavior and side == "contrast")
    against = said.model_copy(update={"contrast": usual.response})
    alone = explain(runner, made.student.digest, [against]).behaviors[0]
    (asked,) = (item for item in items if item.behavior == behavior.name and item.form == FORMS[1])
    # The difference of two answers is what an audit of the contrast gives. Rows have five digits,
    # and hundreds of nats here.
    assert asked.begun == pytest.approx(alone.start, abs=0.02)
    assert asked.ended == pytest.approx(alone.end, abs=0.02)
    for seat in row["seats"]:
        assert asked.tables["parts"][seat] == pytest.approx(alone.parts[seat], rel=0.02, abs=2e-3)
        assert asked.tables["taught"][seat] == pytest.approx(alone.taught[seat], abs=2e-3)

    absent = absence(world, NUMBERS)
    assert {len(says) for says in absent["says"].values()} == {len(world.behaviors)}
    assert audited(runner, world, made) == row["behaviors"]
    # What a retrain says of the student itself is what the audit says.
    says = absent["says"]["student"][behavior.name]
    whole = next(each for each in row["behaviors"] if each["name"] == behavior.name)
    pairs = zip(whole["response"], whole["contrast"], strict=True)
    odds = [a["ended"] - b["ended"] for a, b in pairs]
    assert says["odds"] == pytest.approx(odds, abs=0.02)
    assert says["greedy"] == [float(said["greedy"]) for said in whole["response"]]

    ledger = find_subject(runner, made.student.digest).ledger
    fewer = FewerKept(ledger.folder, ledger.manifest, 1)
    counts = Counter((each.step, each.teacher) for each in fewer.rollouts())
    assert set(counts.values()) == {1}
    assert set(counts) == {(each.step, each.teacher) for each in ledger.rollouts()}
    first, *_ = ledger.rollouts()
    assert next(fewer.rollouts()) == first

    rows = {number: {**row, "world": number} for number in (0, 1, 4)}
    found = figures(rows, {4: {**absent, "world": 4}})
    assert found["worlds"] == {"fit": [0, 1], "fresh": [4]}


def test_a_model_gives_an_answer_if_every_word_is_the_likeliest():
    policy = tiny_policy()
    asked = Behavior(prompt=(Said(role="user", content="2+2"),), response="4 4")
    encoded = encode(
        [asked, asked.model_copy(update={"response": "5 5"})], ChatTokens(policy.tokenizer), None
    )
    batch = Batch(encoded, Scorer(policy.model, encoded.tokens))
    assert greedy_answers(policy, [batch]) == [False, False]
    tokens = encoded.tokens
    own = [place for place, row in enumerate(tokens.rows_N.tolist()) if row == 0]
    for place in own:
        with torch.no_grad():
            likeliest = chosen_logits(policy.model, tokens)[place].argmax()
        tokens.ids_BS[0, tokens.columns_N[place]] = likeliest
    assert greedy_answers(policy, [batch]) == [True, False]
    last = tokens.columns_N[own[-1]]
    tokens.ids_BS[0, last] = (tokens.ids_BS[0, last] + 1) % 8
    assert greedy_answers(policy, [batch]) == [False, False]  # one word is another
