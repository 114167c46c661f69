"""The question of an audit: behaviors that are given, read from a file, or sampled.

All of them become one stored data set, which the audit names by its digest.
"""

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.digest import is_digest
from lineage.frozen import Frozen
from lineage.records.record import Derivation, Input
from tasks.attribution.behavior import (
    Behavior,
    Messages,
    Said,
    encode,
    first_turns,
    read_behaviors,
    refuse_own_contrast,
)
from tasks.attribution.opened import own_policy
from tasks.attribution.subject import (
    AuditedStudent,
    check_may_audit,
    find_subject,
    plan_of,
)
from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Message
from tasks.rollout.settings import SamplingSettings

NEUTRAL = "neutral"
"""Name of the set with all domains' prompts without system prompts, which no teacher was trained
on."""
MOST_SAMPLED = 1_000
"""Maximum sample of the student's own answers in each domain."""
PROBES = 16
"""Number of prompts of each set in the audit of a whole student."""


class AuditQuestion(Frozen):
    """The question: exactly one kind, or none for the whole student."""

    prompt: str = ""
    """The user's message."""
    system: str = ""
    """The system prompt, if any."""
    response: str = ""
    contrast: str = ""
    behaviors: str = ""
    """File of JSON lines, or the digest of a stored data set of them."""
    sample: int = 0
    """Number of the student's own answers to audit in each domain."""


def gather(
    runner: StepRunner, student: str, question: AuditQuestion, seed: int, *, replay: bool = False
) -> Artifact:
    """Return the behaviors of a question as a data set in the store.

    Every fault of the question is refused here, before any retrain.

    Args:
        runner: StepRunner with the student's store.
        student: A name or a digest.
        question: The question.
        seed: Seed of the sample.
        replay: Whether a ledger without displacements suffices.

    Raises:
        LineageError: for a student that does not exist.
        NotEntitledError: for a key that may not register the audit.
        ValueError: for a question of several kinds or an incomplete one, an unreadable file of
            behaviors, a response that the student's tokenizer cannot give, a student without a
            ledger of its own, or a student without usable answers.
    """
    refuse_mixed(question)
    subject = find_subject(runner, student, replay=replay)
    check_may_audit(runner, subject.manifest)
    policy = own_policy(runner, subject)
    behaviors = _gathered(runner, subject, question, seed)
    context = getattr(policy.model.config, "max_position_embeddings", None)
    by_domain = read_stored(runner, behaviors)
    refuse_own_contrast(by_domain)
    encode(by_domain, ChatTokens(policy.tokenizer), context)
    return behaviors


def _gathered(
    runner: StepRunner, subject: AuditedStudent, question: AuditQuestion, seed: int
) -> Artifact:
    if question.response:
        system = [Said(role="system", content=question.system)] if question.system else []
        given = Behavior(
            prompt=(*system, Said(role="user", content=question.prompt)),
            response=question.response,
            contrast=question.contrast or None,
        )
        return _stored(runner, [given])
    if question.behaviors:
        return _given(runner, question.behaviors)
    return _drawn(runner, subject, question.sample, seed)


def refuse_mixed(question: AuditQuestion) -> None:
    """Raise ValueError for a question of several kinds, or an incomplete one."""
    kinds = [
        name
        for name, by_domain in (
            ("prompt and response", _any_part(question)),
            ("behaviors", question.behaviors),
            ("sample", question.sample),
        )
        if by_domain
    ]
    if len(kinds) > 1:
        raise RefusedError(
            "mixed-question", f"{' and '.join(kinds)} were given together: give only one of them"
        )
    if _any_part(question) and not (question.prompt and question.response):
        raise RefusedError(
            "half-question",
            "a behavior is a prompt with a response: give both. A system prompt and a contrast "
            "are optional additions",
        )
    if not 0 <= question.sample <= MOST_SAMPLED:
        raise RefusedError(
            "sample-out-of-range",
            f"sample is {question.sample}: choose 1 to {MOST_SAMPLED} answers of each domain; a "
            "few hundred give narrow intervals",
        )


def _any_part(question: AuditQuestion) -> bool:
    return any((question.prompt, question.system, question.response, question.contrast))


def read_stored(runner: StepRunner, behaviors: Artifact) -> list[Behavior]:
    """Return the behaviors of a stored data set."""
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, "behaviors.jsonl")
        path.write_bytes(runner.store.get_bytes(behaviors.digest))
        return read_behaviors(path)


def _stored(runner: StepRunner, behaviors: Sequence[Behavior]) -> Artifact:
    data = _lines(behaviors)
    return Artifact(kind="dataset", digest=runner.store.put_bytes(data), uri=runner.store.uri)


def _lines(behaviors: Sequence[Behavior]) -> bytes:
    return "".join(f"{item.model_dump_json()}\n" for item in behaviors).encode()


def _given(runner: StepRunner, text: str) -> Artifact:
    if is_digest(text):
        stored = Artifact(kind="dataset", digest=text, uri=runner.store.uri)
        read_stored(runner, stored)  # refuses what holds no behaviors
        return stored
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        path = Path(folder, "behaviors.jsonl")
        path.write_text(text, "utf-8")
        return _stored(runner, read_behaviors(path))


def _drawn(runner: StepRunner, subject: AuditedStudent, sample: int, seed: int) -> Artifact:
    """Sample the student's answers; for the whole student also those from before its warm-up."""
    sets = _prompt_sets(runner, subject)
    derivation = Derivation(
        project=runner.project,
        kind="behaviors",
        inputs=(
            Input.of("student", subject.checkpoint),
            Input.of("start", subject.origin),
            *(Input.of("prompts", data, domain) for domain, data in sets.items()),
        ),
        source=source_digest("attribution"),
        settings={"sample": sample},
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        report("audit", 0, 1, message="sample the student's answers")
        by_domain = {
            domain: [tuple(_said(prompt.messages)) for prompt in stored_prompts(runner.store, data)]
            for domain, data in sets.items()
        }
        sampling = SamplingSettings.model_validate(subject.derivation.settings["sampling"])
        student = on_rank_device(load_policy(runner.store.tree(subject.checkpoint.digest)))
        if sample:
            drawn = {d: _some(p, sample, f"{seed} {d}") for d, p in by_domain.items()}
            behaviors, notes = _own_answers(student, drawn, sampling, seed)
        else:
            probed = _with_neutral(by_domain)
            drawn = {d: _some(p, PROBES, f"{seed} {d}") for d, p in probed.items()}
            start = on_rank_device(load_policy(runner.store.tree(subject.origin.digest)))
            behaviors, notes = _changed_answers(student, start, drawn, sampling, seed)
        measurements.notes["drawn"] = dict(notes)
        if not behaviors:
            raise RefusedError(
                "no-usable-answers",
                f"the student gave no usable behavior: {notes}. Give your own behaviors, or "
                "another seed",
            )
        path = folder / "behaviors.jsonl"
        path.write_bytes(_lines(behaviors))
        return path

    return runner.find_or_make(derivation, "dataset", make, owner="consolidation")


def _prompt_sets(runner: StepRunner, subject: AuditedStudent) -> dict[str, Artifact]:
    """Return each domain's held-out prompts, or its training prompts without a plan."""
    if subject.published is not None:
        return {lead.domain: lead.evaluation for lead in plan_of(runner, subject.published).leads}
    return {
        item.name: Artifact(kind="dataset", digest=item.artifact, record=item.record)
        for item in subject.derivation.inputs
        if item.role == "prompts"
    }


def _said(messages: Sequence[Message]) -> list[Said]:
    return [Said.model_validate({"role": m.role, "content": m.content}) for m in messages]


def _with_neutral(by_domain: Mapping[str, Sequence[Messages]]) -> dict[str, Sequence[Messages]]:
    """Add the set of prompts without system prompts, if domains have system prompts."""
    bare = [
        tuple(said for said in prompt if said.role != "system")
        for prompts in by_domain.values()
        for prompt in prompts
    ]
    seen = {prompt for prompts in by_domain.values() for prompt in prompts}
    neutral = [prompt for prompt in dict.fromkeys(bare) if prompt and prompt not in seen]
    return {**by_domain, NEUTRAL: neutral} if neutral else dict(by_domain)


def _some(prompts: Sequence[Messages], count: int, seed: str) -> list[Messages]:
    return random.Random(seed).sample(list(prompts), min(count, len(prompts)))


def _own_answers(
    student: Policy, by_domain: Mapping[str, list[Messages]], sampling: SamplingSettings, seed: int
) -> tuple[list[Behavior], dict[str, str]]:
    behaviors, notes = [], {}
    for domain, prompts in by_domain.items():
        said = first_turns(student, prompts, sampling, seed)
        kept = [
            Behavior(name=f"{domain} {place + 1}", prompt=prompt, response=text, domain=domain)
            for place, (prompt, text) in enumerate(zip(prompts, said, strict=True))
            if text
        ]
        behaviors += kept
        notes[domain] = f"{len(kept)} of {len(prompts)} answers were usable"
    return behaviors, notes


def _changed_answers(
    student: Policy,
    start: Policy,
    by_domain: Mapping[str, list[Messages]],
    sampling: SamplingSettings,
    seed: int,
) -> tuple[list[Behavior], dict[str, str]]:
    """Return the answers that differ from those of the start, with the same noise."""
    behaviors, notes = [], {}
    for domain, prompts in by_domain.items():
        now = first_turns(student, prompts, sampling, seed)
        before = first_turns(start, prompts, sampling, seed)
        pairs = [(p, n, b) for p, n, b in zip(prompts, now, before, strict=True) if n and b]
        changed = [(prompt, new, old) for prompt, new, old in pairs if new != old]
        behaviors += [
            Behavior(
                name=f"{domain} {place + 1}",
                prompt=prompt,
                response=new,
                contrast=old,
                domain=domain,
            )
            for place, (prompt, new, old) in enumerate(changed)
        ]
        notes[domain] = (
            f"{len(changed)} of {len(pairs)} answers changed "
            f"({len(prompts) - len(pairs)} could not be compared)"
        )
    return behaviors, notes
