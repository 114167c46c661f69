"""Findings on whether the episodes of a round fit into the student's positions.

The student and every teacher with a system prompt read a domain's prompts of all splits: those of
training, and those that are measured after it.
"""

from collections.abc import Iterator

from lineage.compatibility.checks import Finding
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.gate.probe_step import prompts_of
from tasks.onpolicy.teacher_prompts import TeacherPrompts, room_for_teachers
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import open_environment
from tasks.rollout.fit import Longest, longest_prompt, reader_of, without_room
from tasks.rollout.settings import SamplingSettings


def without_positions(
    runner: StepRunner, plan: Plan, sampling: SamplingSettings
) -> Iterator[Finding]:
    """Yield a finding for each domain with a prompt, or with episodes, that may not fit.

    Raises:
        RefusedError: for prompts that cannot be used, and a teacher's system prompt that the
            student's template cannot show.
    """
    student = reader_of(runner.store, plan.student)
    if student.positions is None:
        return
    reserved = room_for_teachers(
        TeacherPrompts(student.chat.tokenizer, {t.name: t.system_prompt for t in plan.teachers}),
        plan.teachers,
        student.positions,
        lambda teacher: runner.store.tree(teacher.checkpoint.digest),
    )
    for lead in plan.leads:
        splits = (lead.train, lead.validation, lead.evaluation)
        prompts = [prompt for split in splits for prompt in prompts_of(runner, lead, split)]
        longest = longest_prompt(student, lead.domain, prompts, reserved)
        if longest.taken + sampling.max_new_tokens > student.positions:
            yield _too_long(lead, longest, sampling.max_new_tokens, student.positions)
        elif not _is_foreign(plan, lead):
            yield from _cut(runner, lead, longest, sampling, student.positions)


def _is_foreign(plan: Plan, lead: PlannedTeacher) -> bool:
    """Return whether a finding says already that the environment does not run here."""
    return any(n.code == "foreign-wheel" and n.subject == lead.reference for n in plan.notes)


def _too_long(lead: PlannedTeacher, longest: Longest, turn: int, limit: int) -> Finding:
    behind = f" behind the {longest.reserved} of a system prompt" if longest.reserved else ""
    return Finding(
        "prompt-too-long",
        "refusal",
        lead.reference,
        f"the prompt {longest.prompt.id!r} of {lead.reference} has {longest.num_tokens} tokens"
        f"{behind}, which with a turn of {turn} do not fit into the student's {limit} positions",
        f"lower max_new_tokens, ask {lead.owner} for a release without this prompt, or leave the "
        "teacher out",
    )


def _cut(
    runner: StepRunner,
    lead: PlannedTeacher,
    longest: Longest,
    sampling: SamplingSettings,
    limit: int,
) -> Iterator[Finding]:
    """Yield the finding that an episode of several turns may end for want of positions."""
    with open_environment(
        runner.store, lead.environment, lead.domain, allow_unconfined=sampling.allow_unconfined
    ) as worker:
        num_turns = worker.max_turns
    if said := without_room(longest, num_turns, sampling.max_new_tokens, limit):
        yield Finding(
            "episode-too-long",
            "warning",
            lead.reference,
            said,
            f"lower max_new_tokens to {(limit - longest.taken) // num_turns}, or no action if "
            "episodes are short",
        )
