"""Flyte task that plans a consolidation."""

from tasks.gate.level import Level
from tasks.handover import Plan
from tasks.hosting import hosted, show
from tasks.onpolicy.workload import Workload
from tasks.resources import Stage


@hosted(Stage.PLAN, deck=True, signs=True)
def make_plan(
    teachers: list[str], student: str, workload: Workload, refuse_from: Level, waivers: list[str]
) -> Plan:
    """Resolve names to digests, read the records, say the plan and its cost; end it where refused.

    The Deck is there also where it is refused.
    """
    from rich.console import Console

    from tasks.gate import plan as step
    from tasks.gate.decide import decide
    from tasks.gate.forecast import forecast
    from tasks.gate.plan_page import plan_page, plan_text
    from tasks.step import Bench

    bench = Bench()
    plan = step.propose(bench, teachers, student)
    cost = forecast(bench, plan, workload)
    Console(stderr=True, highlight=False).print(plan_text(plan, cost), markup=False, soft_wrap=True)
    show("plan", plan_page(plan, cost))
    return decide(bench, plan, refuse_from, waivers)
