"""Findings on whether the episodes of a round fit into the student's positions.

The student and every teacher with a system prompt read a domain's prompts of all splits: those of
training, and those that are measured after it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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
    turn, limit = sampling.max_new_tokens, student.positions
    with ThreadPoolExecutor(len(plan.leads)) as pool:
        # Environments start while prompts are read.
        num_turns = [pool.submit(_num_turns, runner, plan, lead, sampling) for lead in plan.leads]
        for lead, waited in zip(plan.leads, num_turns, strict=True):
            splits = (lead.train, lead.validation, lead.evaluation)
            prompts = [prompt for split in splits for prompt in prompts_of(runner, lead, split)]
            most = waited.result()
            enough = limit - most * turn
            longest = longest_prompt(student, lead.domain, prompts, reserved, enough=enough)
            if longest.taken + turn > limit:
                yield _too_long(lead, longest, turn, limit)
            else:
                yield from _cut(lead, longest, most, turn, limit)


def _num_turns(
    runner: StepRunner, plan: Plan, lead: PlannedTeacher, sampling: SamplingSettings
) -> int:
    """Return the most turns of an episode; 1 where the environment does not run here."""
    if any(n.code == "foreign-wheel" and n.subject == lead.reference for n in plan.notes):
        return 1  # the finding says so already
    with open_environment(
        runner.store, lead.environment, lead.domain, allow_unconfined=sampling.allow_unconfined
    ) as worker:
        return worker.max_turns


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
    lead: PlannedTeacher, longest: Longest, num_turns: int, turn: int, limit: int
) -> Iterator[Finding]:
    """Yield the finding that an episode of several turns may end for want of positions."""
    if said := without_room(longest, num_turns, turn, limit):
        yield Finding(
            "episode-too-long",
            "warning",
            lead.reference,
            said,
            f"lower max_new_tokens to {(limit - longest.taken) // num_turns}, or no action if "
            "episodes are short",
        )
