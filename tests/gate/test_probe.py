"""Paired scores and the swap test, on numbers that are worked out by hand."""

import math

import pytest
import torch
from safetensors.torch import save_file

from lineage.artifacts import Artifact
from tasks.gate.measured import explained, paired
from tasks.gate.probe import ProbedTeacher, _fork_point
from tasks.model.ancestry import CheckpointTensors

ANSWERS = 8


def weights(folder, *values):
    folder.mkdir()
    save_file({"a": torch.tensor(values)}, folder / "model.safetensors")
    return folder


def test_a_false_fork_point_behind_a_true_precursor_is_found(tmp_path):
    base, fork = weights(tmp_path / "base", 0.0, 0.0), weights(tmp_path / "fork", 2.0, 0.0)
    precursor = CheckpointTensors("precursor", weights(tmp_path / "precursor", 2.0, 0.5))
    false = CheckpointTensors("false", weights(tmp_path / "false", 0.0, 2.0))
    sibling = CheckpointTensors("sibling", weights(tmp_path / "sibling", 1.9, 1.5))
    true = CheckpointTensors("fork", fork)

    def found(declared, *others):
        subject = ProbedTeacher(
            name="math",
            domain="math",
            folder=tmp_path,
            prompts=(),
            environment=Artifact(kind="environment", digest="sha256:" + "a" * 64),
            parent=precursor,
            fork_point=declared,
            base=base,
            other_forks=others,
        )
        return _fork_point(subject)

    # <(2, 0.5), (2, 0)> / 4 = 1, and <(2, 0.5), (0, 2)> / 4 = 0.25.
    assert found(true, false, sibling).projection == pytest.approx(1.0)
    assert not found(true, false, sibling).contradicted
    assert found(false).projection == pytest.approx(0.25)
    assert found(false).contradicted
    # One that learned much the same has it in it; the true one, where it is known, is nearer.
    assert not found(sibling).contradicted
    assert (found(sibling, true).nearest, found(sibling, true).contradicted) == ("fork", True)
    assert "fork is nearer" in found(sibling, true).summary
    assert _fork_point(ProbedTeacher("math", "math", tmp_path, (), None)) is None


def test_scores_are_paired_by_prompt():
    found = paired([0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0])
    assert (found.prompts, found.student, found.teacher) == (4, 0.5, 0.75)
    assert found.difference == 0.25
    assert found.error == pytest.approx(0.5 / math.sqrt(4))  # of 1, 0, 0, 0


def test_one_who_answers_nothing_is_below_the_student():
    assert paired([1.0, 0.0, 1.0], [0.0] * 3).difference == pytest.approx(-2 / 3)


def test_who_explains_a_domain_better_than_its_own_teacher_is_suspected():
    heard = {"math": [(-4.0, 4)] * ANSWERS, "code": [(-2.0, 4)] * ANSWERS}
    found = explained("math", heard)
    assert found.suspect == "code"
    assert found.tokens == 4 * ANSWERS
    assert found.log_likelihood == {"math": -1.0, "code": -0.5}
    assert explained("code", heard).suspect == ""


def test_a_lead_within_chance_is_not_suspicious():
    # Gains of 1 and -0.9 nats per token: 0.05 on average, of an error of 0.36.
    scattered = [(-3.0, 1), (-1.1, 1)] * (ANSWERS // 2)
    heard = {"math": [(-4.0, 1), (-0.2, 1)] * (ANSWERS // 2), "code": scattered}
    found = explained("math", heard)
    assert found.errors["code"] == pytest.approx(0.95 * math.sqrt(8 / 7) / math.sqrt(8))
    assert found.suspect == ""


def test_a_significant_lead_of_a_hundredth_of_a_nat_is_not_suspicious():
    heard = {"math": [(-1.0, 1)] * ANSWERS, "code": [(-0.99, 1)] * ANSWERS}
    assert explained("math", heard).suspect == ""


@pytest.mark.parametrize("lost_first", [True, False])
def test_lost_weights_explain_nothing_and_do_not_hide_who_does(lost_first):
    lost = {"agent": [(math.nan, 4)] * ANSWERS}
    others = {"math": [(-4.0, 4)] * ANSWERS, "code": [(-2.0, 4)] * ANSWERS}
    heard = lost | others if lost_first else others | lost
    assert explained("math", heard).suspect == "code"
    assert explained("agent", heard).suspect == ""


def test_too_few_answers_say_nothing():
    assert explained("math", {"math": [(-1.0, 1)] * (ANSWERS - 1)}) is None
