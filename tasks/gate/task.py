"""Flyte task that plans a consolidation."""

from flytekit import task

from tasks.handover import Plan


@task
def make_plan(teachers: list[str], student: str) -> Plan:
    """Resolve the references to digests and check by record that the teachers fit."""
    from tasks.gate import plan as step
    from tasks.step import Bench

    return step.make_plan(Bench(), teachers, student)
