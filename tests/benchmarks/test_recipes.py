"""Claims about recipes, judged by hand-made runs."""

import pytest

from benchmarks.recipes import tables
from benchmarks.recipes.claims.kinds import (
    difference,
    drifts_less_than,
    extra,
    falls,
    holds,
    longer,
    metric_acts,
    metric_below,
    metric_cut,
    metric_rises,
    ranks_pairs,
    reaches,
    regains,
    rises,
    shorter,
)
from benchmarks.recipes.evidence import Evidence
from benchmarks.recipes.judged import changed, claims_of, judged
from tasks.evaluate.scores import PromptOutcome
from tests.support.refused import refused

HALF = [1.0, 0.0] * 10
ALL = [1.0] * 20
NONE = [0.0] * 20
MOST = [1.0] * 15 + [0.0] * 5


def outcomes(values, tokens=10):
    return tuple(
        PromptOutcome(prompt=str(place), scores=(value,), lengths=(tokens + place % 3,))
        for place, value in enumerate(values)
    )


def run(stages, *, series=None, scorers=(), seed=0, drift=0.1):
    found = {name: {"add": outcomes(values, tokens)} for name, (values, tokens) in stages.items()}
    label = {"system": "llama_3", "scale": "tiny", "seed": seed}
    artifact = {"kind": "checkpoint", "digest": "sha256:" + "0" * 64, "record": "", "uri": ""}
    named = [{"name": name, "artifact": artifact} for name in stages]
    card = {
        **{"label": label, "base": artifact, "stages": named, "scores": {}, "forgetting": {}},
        **{"drift": {list(stages)[-1]: {"add": drift}}, "cost": {}},
    }
    return Evidence.model_validate(
        {
            **{"card": card, "record": "", "outcomes": found, "svg": ""},
            **{"series": series or {}, "reward_models": list(scorers)},
        }
    )


RUNS = [run({"low": (NONE, 10), "half": (HALF, 30), "most": (MOST, 30), "all": (ALL, 10)})]


def judge(claim, runs=RUNS):
    return claim.judge(runs)


def test_a_rise_leaves_out_zero_and_pairs_prompts():
    found = judge(rises("all", over="half", domains=["add"]))
    assert (found.holds, found.value) == (True, 0.5)
    assert not judge(rises("half", over="all", domains=["add"])).holds
    assert judge(falls("half", below="all", domains=["add"])).holds
    assert not judge(rises("half", over="half", domains=["add"])).holds


def test_seeds_are_more_prompts():
    one, two = (
        difference(RUNS, "most", "half", ["add"]),
        difference(RUNS * 2, "most", "half", ["add"]),
    )
    assert (one.n, two.n) == (20, 40)
    assert one.mean == two.mean == 0.25
    assert one.low < 0 < two.low  # three of 20 prompts against each other: more runs decide


def test_not_worse_has_a_margin():
    # Most is 0.25 below all.
    assert judge(holds("most", beside="all", domains=["add"], margin=0.25)).holds
    assert not judge(holds("most", beside="all", domains=["add"], margin=0.24)).holds


def test_a_level_is_reached_by_the_mean():
    assert judge(reaches("most", domains=["add"], least=0.75)).holds
    assert not judge(reaches("most", domains=["add"], least=0.76)).holds


def test_regaining_needs_a_loss_first():
    # All 1.0, half 0.5, most 0.75: half of the loss comes back.
    again = regains("most", lost_at="half", best="all", domains=["add"], share=0.5)
    assert (judge(again).holds, judge(again).value) == (True, 0.5)
    more = regains("most", lost_at="half", best="all", domains=["add"], share=0.51)
    assert not judge(more).holds
    assert not judge(regains("all", lost_at="all", best="all", domains=["add"])).holds


def test_lengths_are_compared_prompt_by_prompt():
    found = judge(shorter("all", than="half", domains=["add"]))
    assert (found.holds, found.value) == (True, -20)
    assert not judge(shorter("low", than="all", domains=["add"])).holds
    found = judge(longer("half", than="all", domains=["add"]))
    assert (found.holds, found.value) == (True, 20)


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ([(0.8, 0.7), (0.7, 0.6)], True),
        ([(0.8, 0.7), (0.69, 0.6)], False),  # one model is below
        ([(0.8, 0.5)], False),  # as good as a coin, for all the interval says
        ([], False),
    ],
)
def test_each_reward_model_ranks_pairs(rows, right):
    scorers = [
        {"reward_model/accuracy": [[1, 0.1], [2, a]], "reward_model/accuracy_low": [[2, low]]}
        for a, low in rows
    ]
    runs = [run({"all": (ALL, 10)}, scorers=scorers)]
    assert judge(ranks_pairs(least=0.7), runs).holds is right


def test_a_reward_model_without_held_out_pairs_ranks_none():
    runs = [run({"all": (ALL, 10)}, scorers=[{"reward_model/accuracy": [[1, 0.9]]}])]
    assert not judge(ranks_pairs(least=0.1), runs).holds


def test_a_recipe_without_claims_is_refused():
    with refused("no-claims"):
        claims_of("nowhere")


def test_a_second_attempt_says_what_it_changed():
    assert "1e-4" in changed("instruct_gpt")
    with refused("no-change"):
        changed("glm_5")


def test_a_first_attempt_that_failed_is_shown_beside_what_came_of_the_second(monkeypatch):
    row = {"claim": "a rises", "holds": False, "is_extra": False, "value": 0.1}
    extra_row = row | {"claim": "c rises", "is_extra": True}
    kept = {"claim": "b rises", "holds": True, "is_extra": False, "value": 0.2}
    first = {"changed": "the rate", "passed": False, "held": 1, "claims": [row, kept, extra_row]}
    figures = {
        "first_attempts": {"one": first, "two": first, "three": first},
        "systems": {
            "one": {"passed": True, "held": 2, "claims": [row, kept]},
            "two": {"passed": False, "held": 1, "claims": [row, kept]},
        },
    }
    monkeypatch.setattr(tables, "result", lambda name: {"figures": figures})
    lines = tables.recipe_attempts().splitlines()[2:]
    assert lines == [
        f"| {name} | a rises: 0.10<br>(c rises): 0.10 | the rate | {outcome} |"
        for name, outcome in (("one", "passed"), ("two", "1 of 2"), ("three", "not run yet"))
    ]


def test_a_metric_rises_from_the_first_quarter_to_the_last_in_each_seed():
    up = {"all": {"rl/reward": [[step, step / 8] for step in range(8)]}}
    down = {"all": {"rl/reward": [[step, -step / 8] for step in range(8)]}}
    first, second = (run({"all": (ALL, 10)}, series=series) for series in (up, down))
    # First quarter 0 and 1/8, last 6/8 and 7/8.
    assert judge(metric_rises("all", "rl/reward"), [first]).value == 0.75
    assert not judge(metric_rises("all", "rl/reward"), [first, second]).holds
    assert judge(metric_below("all", "rl/reward", most=0.9), [first, second]).holds
    assert not judge(metric_below("all", "rl/reward", most=0.875), [first, second]).holds


def test_a_mechanism_acts_in_each_seed():
    idle, acts = (
        run({"all": (ALL, 10)}, series={"all": {"m": [[1, 0.0], [2, v]]}}) for v in (0, 1)
    )
    assert judge(metric_acts("all", "m"), [acts]).holds
    assert not judge(metric_acts("all", "m"), [acts, idle]).holds


def test_a_metric_is_cut_to_a_share_of_another_stages_last_quarter():
    def made(own):
        steps = {"all": own, "half": [0.0, 0.0, 0.0, 0.4]}
        rows = {name: {"m": list(enumerate(values))} for name, values in steps.items()}
        return run({"half": (HALF, 10), "all": (ALL, 10)}, series=rows)

    cut, uncut = made([0.9, 0.9, 0.9, 0.2]), made([0.0, 0.0, 0.0, 0.21])
    assert judge(metric_cut("all", "m", of="half"), [cut]).value == 0.5
    assert judge(metric_cut("all", "m", of="half"), [cut]).holds
    assert not judge(metric_cut("all", "m", of="half"), [cut, uncut]).holds


def test_drift_is_of_the_last_stage():
    assert judge(drifts_less_than(0.11)).holds
    assert not judge(drifts_less_than(0.1)).holds


def test_a_recipe_passes_if_every_claim_holds(monkeypatch):
    claims = [rises("all", "low", ["add"]), rises("low", "all", ["add"])]
    monkeypatch.setattr("benchmarks.recipes.judged.claims_of", lambda system: claims)
    found = judged("llama_3", RUNS)
    assert (found["passed"], found["held"], found["seeds"]) == (False, 1, [0])
    claims[1] = extra(claims[1])  # does not decide, and is shown
    found = judged("llama_3", RUNS)
    assert (found["passed"], found["held"], len(found["claims"])) == (True, 1, 2)
    assert [row["is_extra"] for row in found["claims"]] == [False, True]
