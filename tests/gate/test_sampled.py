"""A round's one temperature and length against what each release was made for."""

import pytest

from lineage.artifacts import Sampling
from tasks.gate.declared import sampled_otherwise
from tasks.rollout.settings import SamplingSettings

ASKED = SamplingSettings(temperature=1.0, max_new_tokens=24)


@pytest.mark.parametrize(
    ("meant", "found"),
    [
        ({}, []),
        ({"max_new_tokens": 8}, []),  # more room than it needs cuts nothing
        ({"max_new_tokens": 25}, [("shorter-answers", "warning")]),
        ({"temperature": 0.6}, [("other-temperature", "note")]),
        ({"top_p": 0.95}, [("cut-distribution", "note")]),
        (
            {"temperature": 0.6, "max_new_tokens": 512},
            [("shorter-answers", "warning"), ("other-temperature", "note")],
        ),
    ],
)
def test_a_round_that_samples_differently_is_a_finding(meant, found):
    release = Sampling(**{"temperature": 1.0, "max_new_tokens": 24} | meant)
    findings = list(sampled_otherwise("teacher.math@1", release, ASKED))
    assert [(each.code, each.severity) for each in findings] == found
    assert {each.subject for each in findings} <= {"teacher.math@1"}


def test_the_next_step_names_the_input():
    [cut] = sampled_otherwise("math", Sampling(temperature=1.0, max_new_tokens=512), ASKED)
    assert cut.next_step == "set max_new_tokens to 512"
    assert "512 tokens" in cut.evidence
    assert "at 24" in cut.evidence
