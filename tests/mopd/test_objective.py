"""MOPD's objective: each rollout meets its own teacher, and the terms add up as published."""

import math

import pytest
import torch

from tasks.model.log_probs import chosen_logits, pad_right
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, Divergence, TopK
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tests.support.refused import refused
from tests.support.tiny_models import rollout, tiny_model

FULL, SAMPLED = Divergence.FULL_VOCABULARY, Divergence.SAMPLED_TOKEN
LN2 = math.log(2)
QUARTERS = [1 / 4] * 4
BY_NAME = Routing([Route("math", "m"), Route("code", "c")])


class Constant:
    """Teachers that answer with the same probabilities [V] at every token."""

    def __init__(self, **probabilities):
        self.log_probs = {name: torch.tensor(p).log() for name, p in probabilities.items()}
        self.asked = []

    @property
    def names(self):
        return sorted(self.log_probs)

    def begin_step(self, step, updates, again=()):
        self.expected = [voice for update in updates for voice, _ in update]

    def rescore(self, teacher, tokens):
        return self.hidden(teacher, tokens)

    def hidden(self, teacher, tokens):
        self.asked.append((teacher, tokens.tokens_N.tolist()))
        return torch.zeros(len(tokens.rows_N), 1)

    def logits(self, teacher, hidden_CD):
        return self.log_probs[teacher].expand(len(hidden_CD), -1)


# The math teacher doubles the odd word 1, the code teacher halves it and doubles word 2.
TEACHERS = {"m": [1 / 8, 1 / 2, 1 / 4, 1 / 8], "c": [1 / 8, 1 / 8, 1 / 2, 1 / 4]}


def objective(divergence=SAMPLED, routing=BY_NAME, teachers=None, **settings):
    """Return an objective over the constant teachers."""
    top_k = TopK(k=2) if divergence is Divergence.TOP_K else TopK()
    told = DistilSettings(divergence=divergence, top_k=top_k, **settings)
    loop = LoopSettings(num_steps=1, learning_rate=1e-3)
    return Distillation(routing, teachers or Constant(**TEACHERS), told, loop, control_ids=[])


def losses(objective, rollouts, student=None):
    """Return the loss of each response token by teacher, of a student with these probabilities."""
    found = {}
    plan = plan_step(objective.score(rollouts), Normalization.TOKEN_MEAN, 10_000, pad_id=0)
    objective.begin_step(2, [plan])
    for batch in plan:
        probabilities = torch.tensor(student or QUARTERS)
        logits = probabilities.log().repeat(len(batch.weights_N), 1).requires_grad_()
        loss = objective.prepare(batch)(logits, slice(0, len(logits)))
        found[batch.teacher] = (loss, logits)
    return found


def total(loss):
    """Return the loss of each token over all sources."""
    return sum(loss.by_source.values())


def of_domain(domain, token=1, *, score=0.0, sampled=1 / 4, prompt="p"):
    """Return a rollout of one response token, sampled with this probability."""
    log_probs = [math.log(sampled)]
    return rollout([0, token], [1], domain=domain, score=score, log_probs=log_probs, prompt=prompt)


def test_each_rollout_meets_its_own_teacher():
    found = losses(objective(), [of_domain("math"), of_domain("code")])
    # -A log p with log p = -log 4 and A = log(1/2 / 1/4) = log 2 or log(1/8 / 1/4) = -log 2.
    torch.testing.assert_close(total(found["m"][0]), torch.tensor([LN2 * 2 * LN2]))
    torch.testing.assert_close(total(found["c"][0]), torch.tensor([-LN2 * 2 * LN2]))


@pytest.mark.parametrize("divergence", list(Divergence))
def test_only_a_rollouts_own_teacher_scores_it(divergence):
    teachers = Constant(**TEACHERS)
    losses(objective(divergence, teachers=teachers), [of_domain("math", 1), of_domain("code", 2)])
    assert teachers.asked == [("c", [2]), ("m", [1])]


@pytest.mark.parametrize("divergence", list(Divergence))
def test_swapped_names_change_the_loss(divergence):
    swapped, student = (
        Routing([Route("math", "c"), Route("code", "m")]),
        [1 / 8, 1 / 2, 1 / 4, 1 / 8],
    )
    rollouts = [of_domain("math", sampled=1 / 2)]
    right = total(losses(objective(divergence), rollouts, student)["m"][0])
    wrong = total(losses(objective(divergence, routing=swapped), rollouts, student)["c"][0])
    # The student has the math teacher's probabilities, so only the code teacher objects.
    torch.testing.assert_close(right, torch.zeros(1), rtol=0, atol=1e-6)
    assert wrong.abs().item() > 0.1


def test_a_rollout_of_an_unknown_domain_is_refused():
    with refused("domain-without-teacher", "'law'"):
        objective().score([of_domain("law")])


def test_the_exact_form_is_the_reverse_kl_whatever_was_sampled():
    for token in range(4):
        loss, _ = losses(objective(FULL), [of_domain("math", token)])["m"]
        # Of quarters against 1/8, 1/2, 1/4, 1/8: (log 2 - log 2 + 0 + log 2) / 4.
        torch.testing.assert_close(total(loss), torch.tensor([LN2 / 4]))


def test_the_exact_form_is_weighed_by_the_importance_of_the_token():
    # Student 1/4 over sampler 1/8 is 2: twice log 2 / 4.
    loss, _ = losses(objective(FULL), [of_domain("math", sampled=1 / 8)])["m"]
    torch.testing.assert_close(total(loss), torch.tensor([LN2 / 2]))


def test_the_sampled_form_is_weighed_by_the_importance_of_the_token():
    loss, _ = losses(objective(), [of_domain("math", sampled=1 / 8)])["m"]
    torch.testing.assert_close(total(loss), torch.tensor([2 * LN2 * 2 * LN2]))


@pytest.mark.parametrize("divergence", list(Divergence))
def test_a_token_outside_the_importance_window_teaches_nothing_and_is_counted(divergence):
    # 1/4 over 1/32 is 8, above the default of 5.
    rollouts = [of_domain("math", sampled=1 / 32), of_domain("math")]
    loss, logits = losses(objective(divergence), rollouts)["m"]
    assert total(loss)[0] == 0.0
    assert total(loss)[1] != 0.0
    assert loss.report["dropped"].tolist() == [1.0, 0.0]
    total(loss)[0].backward()
    assert logits.grad.abs().max() == 0.0


def test_a_teachers_advantage_is_clipped_and_counted():
    rollouts = [of_domain("math", word) for word in (1, 2, 0)]
    loss, _ = losses(objective(advantage_clip=0.5), rollouts)["m"]
    # Word 1: log 2 = 0.69 is cut to 0.5; word 2: log 1 = 0 is not; word 0: -log 2 to -0.5.
    torch.testing.assert_close(total(loss), torch.tensor([0.5, 0.0, -0.5]) * 2 * LN2)
    assert loss.report["clipped"].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("divergence", list(Divergence))
def test_the_divergence_is_reported_in_either_form_without_a_gradient(divergence):
    loss, _ = losses(objective(divergence), [of_domain("math", sampled=1 / 8)])["m"]
    torch.testing.assert_close(loss.report["kl"], torch.tensor([LN2 / 4]))
    assert not loss.report["kl"].requires_grad


GROUP = [of_domain("math", 1, score=1.0), of_domain("math", 2, score=0.0)]


def test_an_outcome_advantage_is_added_to_the_teachers():
    # MiMo-V2-Flash eq. 9: A = log(teacher / student) + alpha A_outcome; of scores 1 and 0 the
    # outcome is 1 and -1. Word 1: log 2 + 0.5; word 2: 0 - 0.5; times -log p = 2 log 2.
    loss, logits = losses(objective(outcome_weight=0.5), GROUP)["m"]
    expected = torch.tensor([LN2 + 0.5, -0.5])
    torch.testing.assert_close(total(loss), expected * 2 * LN2)
    # And the gradient to a logit of its own word is -A (1 - p).
    total(loss).sum().backward()
    torch.testing.assert_close(logits.grad[[0, 1], [1, 2]], -expected * 3 / 4)


def test_the_share_of_rollouts_that_an_outcome_moves_is_recorded():
    graded = objective(outcome_weight=0.5)
    # Of scores 1 and 0 both have an advantage; of scores 1 and 1 neither has.
    same = [of_domain("math", score=1.0, prompt="q"), of_domain("math", score=1.0, prompt="q")]
    third = of_domain("math", score=1.0, prompt="q")
    graded.score([*GROUP, *same, third])
    assert graded.feature_checks.end_step(1)["mechanism/outcome/bound"] == pytest.approx(2 / 5)


def test_the_exact_form_adds_the_outcomes_policy_gradient():
    loss, _ = losses(objective(FULL, outcome_weight=0.5), GROUP)["m"]
    expected = torch.tensor([LN2 / 4 + 0.5 * 2 * LN2, LN2 / 4 - 0.5 * 2 * LN2])
    torch.testing.assert_close(total(loss), expected)


@pytest.mark.parametrize(("divergence", "teacher"), [(FULL, LN2 / 4), (SAMPLED, 2 * LN2 * LN2)])
def test_teacher_and_outcome_are_weighed_by_the_same_importance(divergence, teacher):
    # Sampled with 1/8, so weighed twice: the teacher's term of word 1, and 0.5 x -log p.
    group = [of_domain("math", 1, score=1.0, sampled=1 / 8), of_domain("math", 2)]
    loss, _ = losses(objective(divergence, outcome_weight=0.5), group)["m"]
    assert total(loss)[0].item() == pytest.approx(2 * (teacher + 0.5 * 2 * LN2))


def test_an_outcome_is_not_clipped_with_the_teachers_advantage():
    loss, _ = losses(objective(advantage_clip=0.1, outcome_weight=3.0), GROUP)["m"]
    torch.testing.assert_close(total(loss), torch.tensor([0.1 + 3.0, -3.0]) * 2 * LN2)


@pytest.mark.parametrize("divergence", list(Divergence))
def test_without_an_outcome_weight_grades_do_not_matter(divergence):
    without = [of_domain("math", 1), of_domain("math", 2)]
    graded = total(losses(objective(divergence), GROUP)["m"][0])
    assert torch.equal(graded, total(losses(objective(divergence), without)["m"][0]))


def test_resident_teachers_answer_by_name_with_their_own_logits():
    models = {"m": tiny_model(1), "c": tiny_model(2)}
    batch = pad_right([[5, 6, 7], [8, 9]], [[False, True, True], [False, True]], pad_id=0)
    teachers = ResidentTeachers(models, temperature=0.5)
    assert teachers.names == ["c", "m"]
    for name, seed in (("m", 1), ("c", 2)):
        expected = chosen_logits(tiny_model(seed), batch).detach() * 2
        torch.testing.assert_close(teachers.logits(name, teachers.hidden(name, batch)), expected)
        assert not teachers.logits(name, teachers.hidden(name, batch)).requires_grad


def test_resident_teachers_are_frozen():
    model = tiny_model().train()
    ResidentTeachers({"m": model}, temperature=1.0)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_teacher_that_is_not_there_is_not_replaced_by_another():
    batch = pad_right([[5, 6]], [[False, True]], pad_id=0)
    with pytest.raises(KeyError, match="c"):
        ResidentTeachers({"m": tiny_model()}, temperature=1.0).hidden("c", batch)
