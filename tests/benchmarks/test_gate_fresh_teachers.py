"""What each kind of the fresh family changes, and the fingerprint of weights."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.gate.ancestry import Declaration, Made
from benchmarks.gate.fresh import family as fresh
from benchmarks.gate.fresh.ancestry import Method, by
from benchmarks.gate.fresh.family import DOMAINS, FreshCase, Group, cases, group_of
from benchmarks.gate.fresh.fingerprints import (
    fingerprint,
    kinship,
    most,
    spectra,
    spectral_likeness,
    standardized,
)
from benchmarks.gate.fresh.rewording import ALONE, REWORDINGS, THINKS
from benchmarks.gate.fresh.teachers import (
    LEFT_OUT,
    LONG,
    OTHER_SEED,
    FreshTeacher,
    as_tokens,
    sampling_of,
    tolerant,
)
from tasks.contracts.handover import PlannedTeacher
from tasks.model.chat import ChatTokens
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tests.support.tiny_models import tokenizer


class Recorded(FreshTeacher):
    """Says what would be trained, on what, from where."""

    def taught(self, start, what, rows):
        return ("taught", start, what, rows.__name__)

    def fork(self, without):
        return f"fork without {without}"

    def domain(self, shift):
        return shift

    def climbed(self, domain):
        return ("climbed", domain)


def planned(domain):
    rungs = [SimpleNamespace(checkpoint=f"{domain} at {step}") for step in (20, 40)]
    return SimpleNamespace(domain=domain, checkpoint=f"{domain} teacher", ladder=rungs)


FAMILY = SimpleNamespace(
    plan=SimpleNamespace(student="fork point", teachers=[planned(each) for each in DOMAINS]),
    teacher=planned,
)


def made(kind, domain):
    case = FreshCase(3, kind, domain, 1.0, group_of(kind))
    return Recorded(FAMILY, case).made()


@pytest.mark.parametrize(
    ("kind", "domain", "expected"),
    [
        (fresh.OWN, "math", "math teacher"),
        (fresh.EARLY, "math", "math at 20"),
        (fresh.SWAPPED, "math", "code teacher"),
        (fresh.SWAPPED, "instruct", "math teacher"),
        (fresh.WRONG, "agent", ("taught", "fork point", fresh.WRONG, "wrong")),
        (fresh.FORK_ORDER, "code", ("taught", "fork without ", fresh.FORK_ORDER, "right")),
        (fresh.FORK_DATA, "math", ("taught", "fork without instruct", fresh.FORK_DATA, "right")),
        (fresh.ORDER, "code", ("climbed", 0)),
        (fresh.OTHER_DATA, "code", ("climbed", OTHER_SEED)),
        (ALONE, "math", ("taught", "fork point", ALONE, "reworded")),
    ],
)
def test_a_kind_changes_the_teacher_in_its_way(kind, domain, expected):
    assert made(kind, domain) == expected


def test_every_case_has_a_maker():
    noisy = {fresh.NOISE}
    for case in cases():
        if case.kind not in noisy:
            assert Recorded(FAMILY, case).made()


def test_a_fork_point_never_lacks_the_teachers_own_domain():
    assert set(LEFT_OUT) == set(DOMAINS)
    assert all(domain != left_out for domain, left_out in LEFT_OUT.items())


@pytest.mark.parametrize(("share", "count"), [(1.0, 4), (0.5, 2), (0.0, 0)])
def test_a_share_of_the_right_answers_is_reworded(monkeypatch, share, count):
    chat = ChatTokens(tokenizer())
    prompt = Prompt("math-1+2", (Message("user", "1+2"),), {"answer": "3"})
    usual = as_tokens(chat, SimpleNamespace(prompt=prompt), [Turn("assistant", "1+2=3")])
    other = as_tokens(chat, SimpleNamespace(prompt=prompt), [Turn("assistant", "3")])
    rollout = Rollout(
        domain="math",
        prompt=prompt,
        turns=(Turn("assistant", "1+2=3"),),
        grade=Grade(1.0),
        ids=usual.ids,
        is_response=usual.is_response,
        sampler_log_probs=(0.0,) * len(usual.ids),
        truncated=False,
    )
    wrong = Rollout(**{**vars(rollout), "grade": Grade(0.0)})
    monkeypatch.setattr(FreshTeacher, "answers", lambda *_: [rollout, wrong] * 4)
    teacher = FreshTeacher(FAMILY, FreshCase(3, ALONE, "math", share, Group.CONVENTION))
    rows = teacher.reworded(SimpleNamespace(tokenizer=tokenizer()))
    assert [row.ids for row in rows] == [other.ids] * count + [usual.ids] * (4 - count)


def test_longer_answers_get_more_tokens():
    def tokens(kind):
        return sampling_of(FreshCase(3, kind, "math", 1.0, Group.CONVENTION)).max_new_tokens

    assert tokens(THINKS) == LONG.max_new_tokens > tokens(ALONE)


def test_code_keeps_its_own_grader(monkeypatch):
    monkeypatch.setattr("benchmarks.gate.fresh.teachers._grader", lambda _: "tolerant")
    monkeypatch.setattr("benchmarks.gate.fresh.teachers.replace", lambda _, plan: plan)
    teachers = [
        PlannedTeacher.model_construct(domain=domain, environment=domain) for domain in DOMAINS
    ]
    plan = SimpleNamespace(teachers=teachers, model_copy=lambda update: update["teachers"])
    found = {each.domain: each.environment for each in tolerant(SimpleNamespace(plan=plan))}
    assert found == dict.fromkeys(DOMAINS, "tolerant") | {"code": "code"}


def layers(folder, scale=1.0, spreads=((1, 2, 6), (3, 3, 3), (1, 1, 2), (5, 1, 1))):
    """Write a checkpoint of three layers; the entries of each matrix are plus and minus."""
    folder.mkdir(exist_ok=True)
    tensors = {"model.embed_tokens.weight": torch.ones(2, 2)}
    for name, values in zip(("q", "k", "v", "o"), spreads, strict=True):
        for layer, value in enumerate(values):
            key = f"model.layers.{layer}.self_attn.{name}_proj.weight"
            tensors[key] = scale * value * torch.tensor([[1.0, -1.0]])
    save_file(tensors, folder / "model.safetensors")
    return fingerprint(folder)


def test_a_fingerprint_is_the_standardized_spread_of_each_matrix_over_layers(tmp_path):
    found = layers(tmp_path / "one")
    # 1, 2, 6: mean 3, deviation sqrt(14 / 3); a constant has none.
    expected = np.array([-2, -1, 3]) / math.sqrt(14 / 3)
    assert found[:3] == pytest.approx(expected)
    assert found[3:6] == pytest.approx([0, 0, 0])
    assert len(found) == 12


def test_kinship_is_the_correlation_of_fingerprints(tmp_path):
    one, larger = layers(tmp_path / "one"), layers(tmp_path / "two", scale=7.0)
    assert kinship(one, larger) == pytest.approx(1.0)
    turned = layers(tmp_path / "three", spreads=((6, 5, 1), (3, 3, 3), (2, 2, 1), (1, 5, 5)))
    assert kinship(one, turned) == pytest.approx(-1.0)
    assert math.isnan(kinship(one, one[:3]))
    assert math.isnan(kinship(standardized([2, 2]), standardized([1, 2])))
    assert most([math.nan, 0.5, 0.2]) == 0.5
    assert most([]) == -math.inf


def attention(folder, query, key, value, output, head_dim=1):
    """Write a checkpoint of one layer."""
    folder.mkdir()
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    weights = (torch.as_tensor(each, dtype=torch.float64) for each in (query, key, value, output))
    tensors = {
        f"model.layers.0.self_attn.{name}.weight": weight.contiguous()
        for name, weight in zip(names, weights, strict=True)
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"head_dim": head_dim}))
    return spectra(folder)


EYE = [[1.0, 0.0], [0.0, 1.0]]


def test_spectra_are_singular_values_of_both_attention_products(tmp_path):
    found = attention(tmp_path / "one", EYE, [[3.0, 0.0], [0.0, 4.0]], EYE, [[1.0, 0], [0, 2.0]])
    # diag(3, 4) of norm 5, and diag(1, 2) of norm sqrt(5).
    assert found == pytest.approx([0.8, 0.6, 2 / math.sqrt(5), 1 / math.sqrt(5)])


def test_a_key_head_serves_its_group_of_query_heads(tmp_path):
    queries = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 2.0]]
    found = attention(tmp_path / "one", queries, EYE, EYE, [[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    # Heads 0 and 1 share key (1, 0), 2 and 3 key (0, 1): the product is [[1, 0], [1, 2]].
    largest, least = np.linalg.svd(np.array([[1.0, 0.0], [1.0, 2.0]]), compute_uv=False)
    assert found[:2] == pytest.approx(np.array([largest, least]) / math.sqrt(6))
    assert found[2:] == pytest.approx(np.array([1, 1]) / math.sqrt(2))


def test_a_rotation_inside_a_head_changes_no_spectrum(tmp_path):
    turned = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    query, key = (torch.tensor(each, dtype=torch.float64) for each in ([[1, 2], [3, 4]], EYE))
    one = attention(tmp_path / "one", query, key, EYE, EYE, head_dim=2)
    other = attention(tmp_path / "two", turned @ query, turned @ key, EYE, EYE, head_dim=2)
    assert spectral_likeness(one, other) == pytest.approx(0.0, abs=1e-20)
    assert spectral_likeness(one, one + 0.5) == pytest.approx(-0.25)
    assert math.isnan(spectral_likeness(one, one[:2]))


def test_each_method_says_whether_another_candidate_is_nearer():
    made = {name: Made(name, name, "sft", "") for name in ("child", "parent", "near", "far")}
    place = {"child": 0.0, "parent": 1.0, "near": 0.5, "far": 4.0}
    method = Method(lambda _: np.zeros(1), lambda one, other: -abs(float(one - other)), "a", "b")

    def declared(name, *strangers):
        declaration = Declaration(
            made["child"],
            made[name],
            made["parent"],
            made["far"],
            tuple(made[s] for s in strangers),
        )
        return by(method, declaration, lambda each, _: np.array(place[each.record]))

    assert declared("parent", "far") == {"a": -1.0, "b_without": False, "b_with": False}
    assert declared("parent", "near") == {"a": -1.0, "b_without": True, "b_with": True}
    # A false parent with no nearer stranger is seen only where the true one is a candidate.
    assert declared("far", "far") == {"a": -4.0, "b_without": False, "b_with": True}


def test_the_kinds_of_conventions_have_a_group():
    assert {group_of(kind) for kind, _ in REWORDINGS} == {Group.CONVENTION}
