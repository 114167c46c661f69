"""The release of a domain without an expert: the student's start is its teacher.

MiMo-V2-Flash (2601.02780) calls it "Self". A consolidation gets the domain's prompts and
environment from a release, so one is made.
"""

from lineage.artifacts import Artifact, Release, SftData, check_parts
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.release import check_release
from tasks.contracts.handover import Domain
from tasks.contracts.publication import CANDIDATE, publish
from tasks.contracts.refusal import refuse_other_kind
from tasks.model.files import load_tokenizer
from tasks.platform.step_runner import StepRunner
from tasks.release.release import derivation_of, parts_of_domain, record_manifest
from tasks.rollout.settings import SamplingSettings


def release_start(
    runner: StepRunner, start: Artifact, domain: Domain, scorecard: Artifact
) -> Artifact:
    """Return the release of a domain that the student's start teaches itself.

    The scorecard compares the start with itself. ``candidate`` points at the release, and
    ``released`` does not.

    Raises:
        RefusedError: ``other-kind`` if the start is not a checkpoint.
        BrokenRuleError: if start, domain and scorecard are not of one domain.
    """
    refuse_other_kind(start, "checkpoint", "start")
    manifest = _manifest(runner, start, domain, scorecard)
    parts = {**manifest.artifacts(), "sft.sketches": domain.sketches}
    check_parts(runner.store, manifest)
    made = derivation_of(runner, "release", parts, "")
    name = domain.settings.name
    refuse_broken(
        f"the release of {name}", list(check_release(Evidence(runner.store), made, manifest))
    )
    released = record_manifest(runner, "release", manifest, parts)
    publish(
        runner,
        f"teacher.{name}",
        released,
        owner=domain.settings.owner,
        note="the student's start",
        aliases=(CANDIDATE,),
    )
    return released


def _manifest(runner: StepRunner, start: Artifact, domain: Domain, scorecard: Artifact) -> Release:
    own, card = domain.settings, runner.records.read(scorecard.record)
    sampling = SamplingSettings.model_validate(card.settings["sampling"])
    tokenizer = load_tokenizer(runner.store.tree(start.digest))
    return Release(
        domain=own.name,
        kind="self",
        checkpoint=start,
        ladder=(),
        fork_point=start,
        precursor=start,
        sft=SftData(data=domain.demonstrations, sketches=domain.sketches.digest),
        **parts_of_domain(domain, scorecard, tokenizer, sampling),
        code_version=runner.records.read(start.record).source,
    )
