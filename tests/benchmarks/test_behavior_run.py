"""A small world of realistic behaviors from its number to its rows, with the product's stages."""

import pytest

from benchmarks.behaviors.asking import audited, questions
from benchmarks.behaviors.items import FORMS, items_of
from benchmarks.behaviors.making import Numbers, make
from benchmarks.behaviors.run import absence, audit
from benchmarks.behaviors.tables import figures
from benchmarks.behaviors.world import BehaviorWorld, Size
from tasks.attribution.audit import explain
from tasks.contracts.scale import Scale
from tasks.ledger.schema import LedgerSettings
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.settings import HealthSettings, LoopSettings, Reaction
from tasks.platform.step_runner import StepRunner
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

SIZE = Size(
    one_each=1,
    two_each=1,
    also_each=0,
    before_each=1,
    never_each=0,
    demonstrations=40,
    fork_natural=4,
    fork_cued=4,
    fork_odd=4,
    fork_own=(2, 1),
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
    rows = {number: {**row, "world": number} for number in (0, 6)}
    found = figures(rows, {6: {**absent, "world": 6}})
    assert found["worlds"] == {"fit": [0], "fresh": [6]}
