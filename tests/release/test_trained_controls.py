"""A trained control is published if it comes from the student's start by the plan's own parts."""

import pytest

from lineage.artifacts import Student, read_manifest
from lineage.mirror.cards import Cards
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError

OWNER = "consolidation"


@pytest.fixture
def merge(consolidated):
    """Return a consolidation of this test alone, because its controls are changed."""
    return consolidated(600)


def written(merge, teacher, number=0):
    """Return demonstrations of what a teacher answered to the plan's first domain's prompts."""
    lead, make = merge.teachers[0], merge.make
    inputs = [
        ("sampler", teacher, "teacher"),
        ("prompts", lead.train, lead.domain),
        ("environment", lead.environment, lead.domain),
    ]
    answers = make.part("responses", f"answers {number}", "sampling", OWNER, inputs)
    return make.part(
        "dataset", f"chosen {number}", "selection", OWNER, [("responses", answers, "0")]
    )


def of_sft(merge, start, data, seed=400):
    return merge.make.checkpoint(seed, "sft", OWNER, [("start", start), ("data", data, "0")])


def of_rl(merge, start, seed=410, **changed):
    lead = merge.teachers[0]
    parts = {"prompts": lead.train, "environment": lead.environment, **changed}
    inputs = [("start", start), *((role, part, "") for role, part in parts.items())]
    return merge.make.checkpoint(seed, "rl", OWNER, inputs)


def of_mopd(merge, start, teachers, seed=420):
    lead = merge.teachers[0]
    inputs = [
        ("student", start),
        *(("teacher", teacher, f"t{place}") for place, teacher in enumerate(teachers)),
        ("prompts", lead.train, lead.domain),
        ("environment", lead.environment, lead.domain),
    ]
    return merge.make.checkpoint(seed, "mopd", OWNER, inputs)


def publish(merge, **controls):
    merge.controls = {**merge.controls, **controls}
    return merge.publish(scorecard=merge.card())


@pytest.mark.medium
def test_controls_by_sft_rl_and_mopd_are_published(merge):
    made = merge
    start, teacher = made.plan.student, made.teachers[0].checkpoint
    taught = of_sft(made, start, written(made, teacher))
    climbed = of_rl(made, start)
    controls = {
        "off_policy_sft": taught,
        "mix_rl": climbed,
        "cascade_rl": of_rl(made, climbed, 411),
        "mopd_after_sft": of_mopd(made, taught, [teacher]),
        "off_policy_kd": of_mopd(made, start, [teacher, start], 421),  # the start teaches a domain
    }
    published = publish(made, **controls)
    manifest = read_manifest(made.make.runner.store, published.digest, Student)
    assert controls.items() <= manifest.controls.items()


def from_another_start(merge):
    return of_rl(merge, merge.teachers[0].checkpoint, 430)


def by_another_sampler(merge):
    alien = merge.make.checkpoint(432, "base", OWNER, [])
    return of_sft(merge, merge.plan.student, written(merge, alien, 1), 433)


def on_other_prompts(merge):
    other = merge.make.part("dataset", "other prompts", "prompts", OWNER, [])
    return of_rl(merge, merge.plan.student, 434, prompts=other)


def by_another_teacher(merge):
    alien = merge.make.checkpoint(435, "base", OWNER, [])
    return of_mopd(merge, merge.plan.student, [alien], 436)


def from_no_start(merge):
    lead = merge.teachers[0]
    return merge.make.checkpoint(437, "rl", OWNER, [("prompts", lead.train, "")])


def untrained(merge):
    return merge.make.checkpoint(438, "import", OWNER, [])


@pytest.mark.medium
@pytest.mark.parametrize(
    "strange",
    [
        from_another_start,
        by_another_sampler,
        on_other_prompts,
        by_another_teacher,
        from_no_start,
        untrained,
    ],
)
def test_a_control_with_a_part_from_elsewhere_is_refused(merge, strange):
    with pytest.raises(BrokenRuleError) as refused:
        publish(merge, mix_rl=strange(merge))
    assert refused.value.rules == {"controls"}


def test_a_trained_control_has_the_name_of_no_merge(merge):
    with pytest.raises(BrokenRuleError) as refused:
        publish(merge, parameter_average=of_rl(merge, merge.plan.student))
    assert refused.value.rules == {"controls"}


@pytest.mark.medium
def test_a_student_without_a_control_that_was_left_out_is_published_and_its_page_says_so(merge):
    why = {"off_policy_sft": "all answers of the math teacher are cut off"}
    published = merge.publish(scorecard=merge.card(left_out=why))
    store = merge.make.runner.store
    manifest = read_manifest(store, published.digest, Student)
    assert manifest.controls == merge.controls
    [entry] = Registry(store).versions("student.general")
    text = Cards(store, "#/{}".format, "#/{}".format).card(entry).text
    assert "- left out off\\_policy\\_sft: all answers of the math teacher are cut off" in text
