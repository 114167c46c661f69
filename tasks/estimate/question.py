"""A round that somebody thinks of: models by name, a flavor, and numbers of ranks to compare."""

from collections.abc import Sequence
from dataclasses import replace

from tasks.contracts.refusal import RefusedError
from tasks.estimate.layouts import Fit, limits_of
from tasks.estimate.shape import Shape, named_shape
from tasks.estimate.work import RankWork
from tasks.onpolicy.settings import Workload
from tasks.platform.resources import Flavor, Stage


def fits_of(
    student: Shape,
    teachers: Sequence[Shape],
    flavor: Flavor,
    load: Workload,
    prompt_tokens: int,
    ranks: Sequence[int] = (),
) -> list[Fit]:
    """Return a round on each number of ranks; without any, on the flavor's own.

    Each teacher has a domain of its own.
    """
    stage = flavor.stages[Stage.MOPD_ROUND]
    work = RankWork(
        student=student,
        teachers=tuple(teachers),
        load=load,
        num_ranks=stage.num_ranks,
        ranks_per_node=max(1, stage.gpus),
        on_gpu=bool(stage.gpus),
        prompt_tokens=prompt_tokens,
        domains=len(teachers),
    )
    limits = limits_of(flavor)
    return [Fit(replace(work, num_ranks=count), limits) for count in ranks or [stage.num_ranks]]


def named_teachers(names: Sequence[str], student: Shape) -> list[Shape]:
    """Return the shapes of teachers: so many as the student, or one for each name.

    Raises:
        RefusedError: no teacher, or an unknown name.
    """
    if len(names) == 1 and names[0].isdigit():
        found = [student] * int(names[0])
    else:
        found = [named_shape(name) for name in names]
    if not found:
        raise RefusedError("no-teachers", "an estimate needs at least one teacher: give a number")
    return found
