"""How a teacher is meant to be sampled, by its release, against how a round samples. Pure."""

from collections.abc import Iterator

from lineage.artifacts import Sampling
from lineage.compatibility import Finding
from tasks.rollout.settings import SamplingSettings


def sampled_otherwise(subject: str, meant: Sampling, asked: SamplingSettings) -> Iterator[Finding]:
    """Yield where a round samples otherwise than a release says.

    A round has one temperature and one length for all: a release's are not taken over, and said.
    """
    if meant.max_new_tokens > asked.max_new_tokens:
        yield Finding(
            "shorter-answers",
            "warning",
            subject,
            f"{subject} was released for answers of up to {meant.max_new_tokens} tokens, and the "
            f"round cuts all at {asked.max_new_tokens}: what is cut is graded, and taught, unended",
            f"set max_new_tokens to {meant.max_new_tokens}",
        )
    if meant.temperature != asked.temperature:
        yield Finding(
            "other-temperature",
            "note",
            subject,
            f"{subject} was released to be sampled at temperature {meant.temperature:g}; the round "
            f"reads it, and samples, at {asked.temperature:g}, as it does all its teachers",
            f"nothing, or sampling.temperature={meant.temperature:g} among the settings",
        )
    if meant.top_p < 1:
        yield Finding(
            "cut-distribution",
            "note",
            subject,
            f"{subject} was released to be sampled with top_p {meant.top_p:g}; the round learns "
            "its whole distribution, the tail too",
            "nothing, or have it released for what a round does",
        )
