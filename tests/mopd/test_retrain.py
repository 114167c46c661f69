"""Which retrains answer for the absence of teachers."""

from lineage.store.store import open_store
from tasks.mopd.counterfactual.retrain import _cost, _masked, _masks, plan_retrains
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.step_runner import StepRunner
from tests.support.refused import refused


def test_each_teacher_is_left_out_and_random_sets_of_several_too():
    teachers = ["math", "code", "agent", "instruct"]
    masks = _masks(teachers, 3, 0)
    assert masks[:4] == [(name,) for name in teachers]
    # 4 choose 2 and 4 choose 3 make 10 sets that leave somebody to learn from
    assert len(set(masks[4:])) == 3
    assert all(2 <= len(mask) <= 3 for mask in masks[4:])
    assert masks == _masks(teachers, 3, 0)
    with refused("too-many-subsets", "10"):
        _masks(teachers, 11, 0)


def test_a_student_of_one_teacher_has_no_retrain():
    with refused("single-teacher"):
        _masks(["math"], 0, 0)


def test_nothing_but_the_mask_and_the_ledger_changes():
    settings = RoundSettings(loop=LoopSettings(num_steps=3, learning_rate=0.1))
    changed = _masked(settings, ("math",))
    assert list(changed.distil.masked) == ["math"]
    assert not changed.ledger.displacements
    back = changed.model_copy(update={"distil": settings.distil, "ledger": settings.ledger})
    assert back == settings


def test_the_plan_of_retrains_gives_their_number_and_cost():
    assert _cost(14, 65.2) == (
        "14 retrains, each about 1m 06s, like the student's own round, 15m 13s in all; those that "
        "the store already holds take no time"
    )
    assert "each as long as the student's own round; those" in _cost(2, 0.0)


def test_subsets_without_a_seed_are_refused(tmp_path):
    with refused("subsets-without-seed"):
        plan_retrains(StepRunner(open_store(str(tmp_path))), "student", 0, 2)
