"""Scored responses and comparisons: written, read back, and refused."""

import json

import pytest

from lineage.artifacts import Artifact
from tasks.contracts.refusal import refuse_other_kind
from tasks.rollout.environment import Message, Prompt, Turn
from tasks.rollout.json_lines import PromptError
from tasks.rollout.responses import (
    PreferencePair,
    ScoredResponse,
    Strength,
    read_comparisons,
    read_responses,
    write_comparisons,
    write_responses,
)
from tests.support.refused import refused

QUESTION = (Message("user", "1+1="),)


def response(**changed):
    given = {
        "domain": "math",
        "prompt": Prompt("a", QUESTION, {"answer": "2"}),
        "turns": (Turn("assistant", "2"),),
        "sampler": "teacher",
        "scores": {"grade": 1.0, "judge": -0.5},
        "num_tokens": 2,
        "notes": {"judge": "I doubt it."},
    }
    return ScoredResponse(**given | changed)


def comparison(**changed):
    given = {
        "domain": "helpful",
        "prompt": "a",
        "messages": QUESTION,
        "chosen": (Turn("assistant", "2"),),
        "rejected": (Turn("assistant", "3"),),
        "strength": Strength.SLIGHTLY,
        "source": "annotator",
    }
    return PreferencePair(**given | changed)


def test_responses_come_back_as_they_were_written(tmp_path):
    called = (Turn("assistant", "call"), Turn("tool", "7"), Turn("assistant", "7"))
    written = [response(), response(turns=called, truncated=True, notes={})]
    write_responses(tmp_path / "r.jsonl", written)
    assert read_responses(tmp_path / "r.jsonl") == written


def test_comparisons_come_back_as_they_were_written(tmp_path):
    written = [comparison(), comparison(strength=Strength.TIE, mode="on")]
    write_comparisons(tmp_path / "c.jsonl", written)
    assert read_comparisons(tmp_path / "c.jsonl") == written


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": {}},
        {"scores": {"grade": float("nan")}},
        {"scores": {"grade": True}},
        {"num_tokens": -1},
        {"sampler": ""},
        {"turns": ()},
        {"turns": (Turn("tool", "7"),)},
        {"notes": {"judge": 1}},
    ],
)
def test_a_response_that_cannot_be_used_is_refused_and_nothing_is_written(tmp_path, changed):
    with pytest.raises(PromptError):
        write_responses(tmp_path / "r.jsonl", [response(**changed)])
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_comparison_with_a_missing_side_is_refused_with_its_line(tmp_path, side):
    path = tmp_path / "c.jsonl"
    write_comparisons(path, [comparison(), comparison()])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    del rows[1][side]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(PromptError, match=rf"line 2: .*{side}"):
        read_comparisons(path)


def test_an_unknown_strength_is_refused(tmp_path):
    path = tmp_path / "c.jsonl"
    write_comparisons(path, [comparison()])
    path.write_text(path.read_text().replace("slightly better", "much better"))
    with pytest.raises(PromptError, match="strength"):
        read_comparisons(path)


def test_an_artifact_of_another_kind_is_refused():
    digest = "sha256:" + "0" * 64
    refuse_other_kind(Artifact(kind="checkpoint", digest=digest), "checkpoint", "start")
    with refused("other-kind", "start", "reward_model"):
        refuse_other_kind(Artifact(kind="reward_model", digest=digest), "checkpoint", "start")
