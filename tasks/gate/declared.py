"""Findings on how teachers are used: sampling, system prompt, and a chat template of ours."""

from collections.abc import Iterator

from lineage.artifacts import Sampling
from lineage.compatibility.checks import Finding
from tasks.rollout.settings import SamplingSettings

_SHOWN = 200
"""Characters of a system prompt that a finding shows."""


def sampled_otherwise(
    subject: str, meant: Sampling, sampling: SamplingSettings
) -> Iterator[Finding]:
    """Yield a finding where a round samples differently than a release declares.

    A round has one temperature and one length for all teachers, so a release's own values are not
    used, only reported.
    """
    if meant.max_new_tokens > sampling.max_new_tokens:
        yield Finding(
            "shorter-answers",
            "warning",
            subject,
            f"{subject} was released for responses of up to {meant.max_new_tokens} tokens, but "
            f"the round truncates all responses at {sampling.max_new_tokens}: truncated responses "
            "are graded and distilled incomplete",
            f"set max_new_tokens to {meant.max_new_tokens}",
        )
    if meant.temperature != sampling.temperature:
        yield Finding(
            "other-temperature",
            "note",
            subject,
            f"{subject} was released for sampling at temperature {meant.temperature:g}, but for "
            f"the student and all teachers the round uses {sampling.temperature:g}",
            f"no action, or set sampling.temperature={meant.temperature:g} in the settings",
        )
    if meant.top_p < 1:
        yield Finding(
            "cut-distribution",
            "note",
            subject,
            f"{subject} was released for sampling with top_p {meant.top_p:g}, but the round "
            "distills its whole distribution, including the tail",
            "no action, or ask its owner for a release without top_p",
        )


def hidden_prompt(subject: str, system_prompt: str) -> Finding:
    """Return the finding that a teacher is scored behind a prompt that the student never sees."""
    return Finding(
        "system-prompt",
        "note",
        subject,
        f"{subject} reads a system prompt of {len(system_prompt)} characters before each prompt, "
        f"which the student does not see: {shortened(system_prompt)!r}",
        "no action",
    )


def replaced_template(subject: str, family: str) -> Finding:
    """Return the finding that student and teachers read a chat template of ours."""
    return Finding(
        "training-template",
        "note",
        subject,
        f"{subject} and its teachers read Provost's training template for {family}, because the "
        "family's own template cannot play several turns",
        "serve the student with the template in its folder",
    )


def shortened(text: str) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
