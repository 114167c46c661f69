"""A plan's round beside the memory that there is: for the plan, and for the round as it starts."""

from dataclasses import dataclass

import torch

from lineage.store.store import Store
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.estimate.layouts import MemoryLimits
from tasks.estimate.shape import Shape, shape_of_folder
from tasks.estimate.work import RankWork
from tasks.ledger.estimate import free_memory
from tasks.onpolicy.settings import Workload
from tasks.platform.ranks import rank_device, ranks_on_node


@dataclass(frozen=True)
class Ranks:
    """How many ranks a round has, and where."""

    number: int
    per_node: int
    on_gpu: bool


def planned_work(
    store: Store, plan: Plan, load: Workload, prompt_tokens: int, ranks: Ranks
) -> RankWork:
    """Return what a rank of a plan's round has to do; the longest prompt has ``prompt_tokens``."""
    student = shape_of_folder(store.tree(plan.student.digest), plan.student.digest)
    return RankWork(
        student=student,
        teachers=tuple(_teacher_shape(store, teacher, student) for teacher in plan.teachers),
        load=load,
        num_ranks=ranks.number,
        ranks_per_node=ranks.per_node,
        on_gpu=ranks.on_gpu,
        prompt_tokens=prompt_tokens,
        domains=len(plan.leads),
    )


def free_here() -> MemoryLimits:
    """Return what is free on this machine for a rank that has loaded nothing yet."""
    device, host = rank_device(), free_memory(torch.device("cpu"))
    own = free_memory(device) if device.type == "cuda" else host // ranks_on_node()
    return MemoryLimits("what is free on this machine", own, host)


def _teacher_shape(store: Store, teacher: PlannedTeacher, student: Shape) -> Shape:
    """Return the shape of a teacher; one that is an adapter has that of its base, the student's."""
    folder = store.tree(teacher.checkpoint.digest)
    if not (folder / "config.json").is_file():
        return student
    return shape_of_folder(folder, teacher.checkpoint.digest)
