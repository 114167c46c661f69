"""What an RL run is recorded from, and which inputs it refuses before it loads anything."""

import itertools

import pytest

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain, DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import RlSettings
from tests.support.refused import invalid, refused

_NUMBERS = itertools.count(1)


def artifact(kind="checkpoint", **more):
    number = next(_NUMBERS)
    return Artifact(kind=kind, digest=f"sha256:{number:064x}", record=f"sha256:{number:064d}")


def domain(name="math", owner="team-math", system_prompt="", **parts):
    data = artifact("dataset")
    given = {"environment": artifact("environment"), "train": artifact("dataset")} | parts
    return Domain(
        settings=DomainSettings(name=name, owner=owner, version="1", system_prompt=system_prompt),
        validation=data,
        evaluation=data,
        demonstrations=data,
        sketches=artifact("sketch"),
        **given,
    )


def settings(num_steps=4, loop=None, **more):
    told = {"num_steps": num_steps, "learning_rate": 1e-3} | (loop or {})
    return RlSettings(loop=LoopSettings(**told), **more)


GRADE = {"kind": "grade", "name": "grade"}
SCORED = {"rewards": {"terms": [{"kind": "scorer", "name": "helpful"}]}}
JUDGED = {
    "rewards": {"terms": [{"kind": "scorer", "name": "helpful", "judge": {"rubric": "kind"}}]}
}
GIVEN = {"kl": {"coefficient": 0.1, "reference": "given"}}


def spec(start=None, domains=None, models=None, **more):
    return RunSpec(
        start or artifact(),
        [each.training for each in (domains if domains is not None else [domain()])],
        settings(**more),
        7,
        models or {},
    )


def roles(run):
    return [(item.role, item.name) for item in run.derivation("local", 4).inputs]


def test_one_domain_is_recorded_as_a_climb_was_before_there_were_variants():
    made = spec().derivation("local", 4)
    assert (made.kind, made.seed) == ("rl", 7)
    assert [(item.role, item.name) for item in made.inputs] == [
        ("start", ""),
        ("prompts", ""),
        ("environment", ""),
    ]
    assert set(made.settings) == {
        *("loop", "sampling", "prompts_per_step", "rollouts_per_prompt", "importance", "health"),
        *("domain", "stop_at"),
    }
    assert made.settings["domain"] == "math"
    assert spec().derivation("local", 2).kind == "rung"


def test_several_domains_are_recorded_by_name():
    run = spec(domains=[domain("math"), domain("code", "team-code")])
    made = run.derivation("local", 4)
    assert made.settings["domains"] == ["math", "code"]
    assert roles(run)[1:] == [
        *(("prompts", "math"), ("environment", "math")),
        *(("prompts", "code"), ("environment", "code")),
    ]
    assert (run.owner, run.stage) == ("", "math+code rl")
    assert spec(domains=[domain("math"), domain("code")]).owner == "team-math"


def test_a_variant_is_recorded_with_its_reference():
    reference = artifact()
    run = spec(models={"reference": reference}, **GIVEN)
    run.refuse()
    assert roles(run)[-1] == ("reference", "")
    recorded = run.derivation("local", 4)
    assert recorded.settings["kl"]["coefficient"] == 0.1
    assert recorded.inputs[-1].artifact == reference.digest


def test_mixed_inputs_are_recorded_as_given():
    runs = [domain(), domain()]
    start, train, environment = artifact(), runs[0].train, runs[1].environment
    mixed = runs[0].model_copy(update={"train": train, "environment": environment})
    made = spec(start, [mixed]).derivation("local", 4)
    assert [(i.artifact, i.record) for i in made.inputs] == [
        (each.digest, each.record) for each in (start, train, environment)
    ]


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("other-kind", {"start": artifact("reward_model")}),
        ("other-kind", {"start": artifact("responses")}),
        ("other-kind", {"domains": [domain(environment=artifact("dataset"))]}),
        ("other-kind", {"domains": [domain(train=artifact("comparisons"))]}),
        ("other-kind", {"models": {"reference": artifact("reward_model")}} | GIVEN),
        ("domains-not-distinct", {"domains": []}),
        ("domains-not-distinct", {"domains": [domain(), domain()]}),
        (
            "several-system-prompts",
            {
                "domains": [
                    domain(),
                    domain("code", system_prompt="Be."),
                ]
            },
        ),
        ("missing-model", GIVEN),
        ("missing-model", SCORED),
        ("other-kind", {"models": {"helpful": artifact("checkpoint")}} | SCORED),
        ("unknown-domain", {"rewards": {"terms": [GRADE | {"domains": ["code"]}]}}),
        ("idle-model", {"models": {"reference": artifact()}}),
        ("idle-model", {"models": {"other": artifact()}}),
        ("other-kind", {"models": {"helpful": artifact("reward_model")}} | JUDGED),
        ("unknown-domain", {"prompts_by_domain": {"code": 3}}),
        ("unknown-domain", {"kl": {"coefficient": 0.1, "domains": {"code": 0.0}}}),
    ],
)
def test_inputs_that_do_not_fit_are_refused(code, wrong):
    with refused(code):
        spec(**wrong).refuse()


CLIP = {"clip": {"low": 0.2, "high": 0.28}}


@pytest.mark.parametrize(
    ("code", "name", "wrong"),
    [
        ("never-acts", "reset_every", {"kl": {"coefficient": 0.1, "reset_every": 4}}),
        (
            "same-as-k3",
            "corrected_k3",
            {"kl": {"coefficient": 0.1, "estimator": "corrected_k3", "place": "reward"}},
        ),
        (
            "reference-of-adapters",
            "reset_every",
            {"kl": {"coefficient": 0.1, "reset_every": 2}, "loop": {"adapter": {"rank": 2}}},
        ),
        ("greater_than", "coefficient", {"kl": {"coefficient": 0.0}}),
        ("negative", "-1.0", {"kl": {"coefficient": 0.1, "domains": {"math": -1.0}}}),
        ("never-acts", "clip", {"ratio": {"base": "old"} | CLIP}),
        ("never-acts", "squared_log", {"ratio": {"base": "old", "squared_log": 0.1}}),
        ("adaptive-bound", "high", {"ratio": {"clip": {"low": 0.6, "high": 0.5, "adaptive": {}}}}),
        ("adaptive-bound", "low", {"ratio": {"clip": {"low": 1.0, "adaptive": {}}}}),
        ("refill-without-bound", "refill", {"groups": {"zero_variance": "refill"}}),
        ("refill-without-bound", "2", {"groups": {"refill_rounds": 2}}),
        ("no-effect", "penalty", {"groups": {"overlong": {"rule": "filter", "penalty": 2.0}}}),
        ("never-acts", "step 5", {"lengths": [{"from_step": 5, "max_new_tokens": 48}]}),
        ("never-acts", "step 2", {"lengths": [{"from_step": 2, "max_new_tokens": 24}]}),
        ("never-acts", "step 3", {"lengths": [{"from_step": 3, "max_new_tokens": 48}] * 2}),
        ("never-counts", "grade", {"rewards": {"terms": [GRADE | {"from_step": 5}]}}),
        ("never-acts", "whiten", {"rewards": {"terms": [GRADE], "whiten": True}}),
        (
            "reserved-name",
            "reference",
            {"rewards": {"terms": [{"kind": "scorer", "name": "reference"}]}},
        ),
        ("no-prompts", "math", {"prompts_by_domain": {"math": 0}}),
        # In a group of 8 no standardized advantage is beyond 7 ** 0.5 = 2.65, nor beyond 3.02.
        ("never-acts", "2.65", {"advantage": {"clip": 2.65}}),
        ("never-acts", "3.03", {"advantage": {"clip": 3.03, "baseline": "leave_one_out"}}),
    ],
)
def test_settings_that_could_never_act_are_refused(code, name, wrong):
    with invalid(code, name):
        settings(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"kl": {"coefficient": 0.1, "reset_every": 3}},
        {"ratio": {"base": "old"} | CLIP, "loop": {"inner_updates": 2}},
        {"ratio": {"base": "old"} | CLIP, "loop": {"inner_epochs": 2}},
        {"ratio": CLIP},
        {"lengths": [{"from_step": 4, "max_new_tokens": 48}]},
        {"advantage": {"clip": 2.64}},
        {"advantage": {"clip": 3.0, "baseline": "leave_one_out"}},
        {"advantage": {"clip": 50.0, "scale": "none"}},
    ],
)
def test_settings_that_can_act_are_recorded(right):
    made = settings(**right)
    assert RlSettings.model_validate(made.model_dump(mode="json")) == made
    assert set(right) <= set(made.model_dump(mode="json"))


def test_the_limit_of_tokens_is_that_of_the_last_stage_that_began():
    stages = [{"from_step": 2, "max_new_tokens": 48}, {"from_step": 4, "max_new_tokens": 64}]
    made = settings(lengths=stages)
    assert [made.max_new_tokens(step) for step in (1, 2, 3, 4)] == [24, 48, 48, 64]


@pytest.mark.parametrize(
    ("kind", "role"), [("text", ("text", "pretraining")), ("dataset", ("data", "pretraining"))]
)
def test_pretraining_rows_are_text_or_data_by_their_kind(kind, role):
    run = spec(
        models={"pretraining": artifact(kind)},
        pretraining={"coefficient": 1.0, "rows_per_step": 1},
    )
    run.refuse()
    assert roles(run)[-1] == role


def test_a_value_network_starts_from_a_reward_model_and_nothing_else():
    value = {"value": {"start": "reward_model", "learning_rate": 1e-3}}
    run = spec(models={"value_start": artifact("reward_model")}, **value)
    run.refuse()
    assert roles(run)[-1] == ("value_start", "")
    with refused("other-kind"):
        spec(models={"value_start": artifact("checkpoint")}, **value).refuse()


@pytest.mark.parametrize(
    ("code", "name", "wrong"),
    [
        ("advantage-of-groups", "advantage", {"advantage": {"scale": "none"}}),
        ("single-rollout", "drop", {"rollouts_per_prompt": 1, "groups": {"zero_variance": "drop"}}),
    ],
)
def test_settings_of_groups_are_refused_under_a_value_network(code, name, wrong):
    value = {"start": "policy", "learning_rate": 1e-3}
    assert settings(value=value, rollouts_per_prompt=1).value is not None
    with invalid(code, name):
        settings(value=value, **wrong)


def test_a_step_with_fewer_rows_than_updates_is_refused():
    rows = {"coefficient": 1.0, "rows_per_step": 1}
    with invalid("too-few-rows", "rows_per_step"):
        settings(pretraining=rows, loop={"inner_updates": 2})
