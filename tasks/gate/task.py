"""Flyte task that plans a consolidation."""

from tasks.gate.level import Level
from tasks.handover import Plan
from tasks.hosting import hosted
from tasks.resources import Stage


@hosted(Stage.PLAN, signs=True)
def make_plan(teachers: list[str], student: str, refuse_from: Level, waivers: list[str]) -> Plan:
    """Resolve the references to digests and check by record that the teachers fit."""
    from tasks.gate import plan as step
    from tasks.step import Bench

    return step.make_plan(Bench(), teachers, student, refuse_from, waivers)
