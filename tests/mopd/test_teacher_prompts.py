"""Teachers that read a system prompt of their own: which ids they score, and what comes of them."""

import json
from dataclasses import replace

import pytest
import torch

from tasks.model.kernels.shared_prefixes import PrefixRun
from tasks.mopd.objective import Distillation
from tasks.mopd.round_models import INITIAL_STUDENT, precursor_name
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.onpolicy.teacher_prompts import TeacherPrompts, room_for_teachers
from tests.support.climbs import teacher
from tests.support.refused import refused
from tests.support.tiny_models import rollout as made
from tests.support.tiny_models import tiny_model, tokenizer, with_template

TEXT = "Use fox."
SETTINGS = LoopSettings(num_steps=1, learning_rate=1e-3)
READ = (
    "<|im_start|>system\nUse fox.<|im_end|>\n<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"
)
PLAIN = "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"


def ids(text):
    return tokenizer().encode(text, add_special_tokens=False)


def rollout(count, domain="math", tool=0):
    """Return a rollout of the prompt "?": so many sampled tokens, a tool's answer, one more."""
    prompt = ids(PLAIN)
    response = [*range(20, 20 + count), *[60] * tool, *([61] if tool else [])]
    own = [*range(count), *([count + tool] if tool else [])]
    return made([*prompt, *response], [len(prompt) + place for place in own], domain=domain)


def prompts(**texts):
    return TeacherPrompts(tokenizer(), texts)


def planned(scored, max_tokens=10_000):
    return plan_step(scored, Normalization.TOKEN_MEAN, max_tokens, pad_id=0)


def objective(models, routes=("math",), texts=None, **settings):
    """Return an objective of the exact divergence over resident teachers."""
    told = DistilSettings(divergence=Divergence.FULL_VOCABULARY, **settings)
    routing = Routing([Route(name, name) for name in routes], prompts(**(texts or {"math": TEXT})))
    return Distillation(routing, ResidentTeachers(models, 1.0), told, SETTINGS, control_ids=[])


def plain_log_probs(model, row, first):
    """Return the log-probabilities [tokens, V] of a row from ``first`` on, by one plain forward."""
    with torch.no_grad():
        logits = model(torch.tensor([row])).logits[0]
    return logits[first - 1 : -1].log_softmax(-1)


def test_the_teacher_reads_its_prompt_and_the_same_responses():
    [batch] = planned(objective({"math": tiny_model(2)}).score([rollout(3), rollout(5, tool=2)]))
    short, long = (
        [*ids(READ), *range(20, 23)],
        [*ids(READ), *range(20, 25), 60, 60, 61],
    )
    assert batch.teacher_tokens.ids_BS.tolist() == [short + [0] * (len(long) - len(short)), long]
    assert batch.tokens.ids_BS[1, : len(ids(PLAIN))].tolist() == ids(PLAIN)
    assert torch.equal(batch.teacher_tokens.tokens_N, batch.tokens.tokens_N)
    assert torch.equal(batch.teacher_tokens.rows_N, batch.tokens.rows_N)
    # All rows begin alike, up to before the last token of the prompt, which predicts the first.
    assert batch.teacher_tokens.runs == (PrefixRun(2, len(ids(READ)) - 1),)


@pytest.mark.parametrize("counts", [(4,), (3, 6, 6), (2, 5, 9, 9)])
def test_its_log_probabilities_are_those_of_a_plain_forward_behind_its_prompt(counts):
    model = tiny_model(2)
    found = objective({"math": model})
    [batch] = planned(found.score([rollout(count) for count in counts]))
    found.begin_step(1, [[batch]])
    student_NV = torch.zeros(len(batch.weights_N), model.config.vocab_size)
    routed = found._routed(batch, student_NV, _hidden(found, batch), slice(0, len(student_NV)))
    expected = torch.cat(
        [
            plain_log_probs(model, [*ids(READ), *range(20, 20 + count)], len(ids(READ)))
            for count in sorted(counts)
        ]
    )
    torch.testing.assert_close(routed.teacher_CV.log_softmax(-1), expected, rtol=0, atol=2e-5)


def _hidden(found, batch):
    return {"math": found._teachers.hidden("math", batch.teacher_tokens)}


def test_the_loss_is_the_kl_to_the_teacher_behind_its_prompt():
    student, model = tiny_model(1), tiny_model(2)
    found, row = objective({"math": model}), rollout(4)
    student_NV = plain_log_probs(student, list(row.ids), len(ids(PLAIN)))
    own = student_NV.gather(1, torch.tensor([[20], [21], [22], [23]]))[:, 0].tolist()
    sampled = replace(row, sampler_log_probs=(*[0.0] * len(ids(PLAIN)), *own))
    [batch] = planned(found.score([sampled]))
    found.begin_step(1, [[batch]])
    losses = found.prepare(batch)
    loss = losses(student_NV, slice(0, 4)).by_source["math"]
    taught = plain_log_probs(model, [*ids(READ), *range(20, 24)], len(ids(READ)))
    kl = (student_NV.exp() * (student_NV - taught)).sum(-1)
    torch.testing.assert_close(loss, kl, rtol=0, atol=1e-4)
    unread = plain_log_probs(model, list(row.ids), len(ids(PLAIN)))
    assert ((student_NV.exp() * (student_NV - unread)).sum(-1) - kl).abs().min() > 1e-3


def test_only_the_teacher_reads_it_and_not_its_precursor_nor_the_start():
    asked = []

    class Listening(ResidentTeachers):
        def hidden(self, teacher, tokens):
            asked.append((teacher, tokens.ids_BS.shape[1]))
            return super().hidden(teacher, tokens)

    before, start = precursor_name("math"), INITIAL_STUDENT
    models = {"math": tiny_model(2), before: tiny_model(3), start: tiny_model(4)}
    found = objective(models, delta_teachers=("math",))
    found._teachers = Listening(models, 1.0)
    [batch] = planned(found.score([rollout(3)]))
    found.begin_step(1, [[batch]])
    found.prepare(batch)
    assert asked == [
        ("math", len(ids(READ)) + 3),
        (before, len(ids(PLAIN)) + 3),
        (start, len(ids(PLAIN)) + 3),
    ]


def test_a_teacher_without_one_reads_what_the_student_read():
    models = {"math": tiny_model(2), "code": tiny_model(3)}
    found = objective(models, routes=("math", "code"))
    code, math = planned(found.score([rollout(3), rollout(3, "code")]))
    assert code.teacher_tokens is code.tokens
    assert math.teacher_tokens is not math.tokens


def test_what_is_scored_ahead_is_found_under_the_teachers_own_rows():
    class Pool:
        counts, names = None, ["math"]

        def __init__(self):
            self.asked = []

        def expect(self, teachers):
            pass

        def hidden(self, teacher, tokens):
            self.asked.append(tokens.ids_BS.shape[1])
            return torch.zeros(len(tokens.rows_N), 1)

    pool = Pool()
    cache = HiddenCache(pool)
    [batch] = planned(objective({"math": tiny_model(2)}).score([rollout(3)]))
    cache.score_ahead([("math", batch.teacher_tokens)])
    cache.hidden("math", batch.teacher_tokens)
    assert (pool.asked, cache.hits) == ([len(ids(READ)) + 3], 1)
    cache.hidden("math", batch.tokens)
    assert cache.hits == 1


def test_a_microbatch_is_bound_by_the_longer_of_both_rows():
    scored = objective({"math": tiny_model(2)}).score([rollout(3) for _ in range(6)])
    width = len(ids(READ)) + 3
    batches = planned(scored, max_tokens=2 * width)
    assert [len(batch.items) for batch in batches] == [2, 2, 2]
    assert all(batch.teacher_tokens.ids_BS.numel() == 2 * width for batch in batches)


def test_another_prompt_is_put_before_what_the_episode_said():
    assert made([1, 2, 3, 4, 5], [2, 4]).behind((7, 8)) == (
        (7, 8, 3, 4, 5),
        (False, False, True, False, True),
    )
    assert made([1, 2], []).behind((7, 8)) == ((7, 8), (False, False))


def test_a_system_prompt_that_the_students_template_drops_is_refused_by_its_teacher():
    bare = with_template(
        "{% for m in messages %}{{ m.content if m.role != 'system' }}<|im_end|>{% endfor %}"
    )
    with refused("message-lost", "'math'"):
        TeacherPrompts(bare, {"math": TEXT})


def test_prompts_leave_room_for_the_teachers_longer_rows(tmp_path):
    longer = len(ids(READ)) - len(ids(PLAIN))
    planned_teacher = teacher([], system_prompt=TEXT)
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 90}))
    asked = rollout(1).prompt

    def reserved(positions):
        return room_for_teachers(
            prompts(math=TEXT), [planned_teacher], positions, lambda _: tmp_path
        )

    assert reserved(90)("math", asked) == longer
    assert reserved(96)("math", asked) == longer + 6
    assert reserved(90)("code", asked) == 0
    assert reserved(None)("math", asked) == 0
