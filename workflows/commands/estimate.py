"""``provost estimate``: what a consolidation would take, for any models, flavor and ranks.

Models are known names or folders; their weights are not needed, and nothing is stored.
"""

from typing import TYPE_CHECKING

import click

from lineage.artifacts import Release, Student, read_manifest
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.contracts.inputs import InputError
from tasks.contracts.refusal import RefusedError
from tasks.mopd.launch_form import launch_spec
from tasks.platform.progress import format_seconds
from tasks.platform.resources import LOCAL, ResourceError, chosen_flavor, load_flavor
from workflows.commands.answers import AloneAnswer, EstimateAnswer, EstimatedPhase, LayoutAnswer
from workflows.commands.options import Listed, SettingsType
from workflows.commands.output import as_json, emit, say, tabulate

if TYPE_CHECKING:
    from tasks.estimate.alone import Need
    from tasks.estimate.layouts import Fit
    from tasks.estimate.traffic import StepTime
    from tasks.onpolicy.settings import Workload
    from tasks.platform.resources import Flavor

_GIB = 1 << 30
_NOTE = (
    "These are estimates. Network, time and what a GPU keeps for itself were not measured on "
    "several GPUs; docs/guides/hardware.md says what was."
)


@click.command()
@click.option("--student", required=True, help="A known model (qwen3-32b) or a model's folder.")
@click.option(
    "--teachers",
    type=Listed(),
    required=True,
    help="Number of teachers like the student, or models with commas between them.",
)
@click.option("--flavor", help="Flavor of cluster.  [default: $PROVOST_FLAVOR, else cpu]")
@click.option("--ranks", type=Listed(), help="Numbers of ranks to compare.  [default: flavor's]")
@click.option(
    "--prompt-tokens",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Tokens of the longest prompt.",
)
@click.option("--mopd-steps", type=click.IntRange(1), help="Sampling steps of a round.")
@click.option("--rounds", type=click.IntRange(1), help="Number of rounds.")
@click.option(
    "--settings",
    type=SettingsType(),
    default="",
    help="Other inputs of a launch, such as max_new_tokens=4096,student_precision=bf16.",
)
@as_json
def estimate(
    student: str,
    teachers: list[str],
    flavor: str | None,
    ranks: list[str] | None,
    as_document: bool,
    prompt_tokens: int,
    **inputs: object,
) -> None:
    """Estimate memory, storage, network and time of a consolidation; exit 1 if nothing fits.

    Where no layout in question fits, the nearest one that does is named.
    """
    from tasks.estimate.layouts import refuse_too_large

    try:
        chosen = load_flavor(flavor) if flavor else chosen_flavor() or load_flavor(LOCAL)
        counts = [_count(text) for text in ranks or []]
        launch = launch_spec({name: value for name, value in inputs.items() if value})
        fits = _fits(student, teachers, chosen, counts, (launch.workload, prompt_tokens))
    except (InputError, RefusedError, ResourceError) as error:
        raise click.ClickException(str(error)) from error
    refusal = ""
    if all(fit.missing for fit in fits):
        try:
            refuse_too_large(fits[0], chosen)
        except RefusedError as error:
            refusal = str(error)
    needs = _alone(fits[0], chosen, launch.gate.gate_prompts_per_domain)
    refusal = refusal or next((need.missing for need in needs if need.missing), "")
    layouts = [
        _layout(fit, chosen, time) for fit, time in zip(fits, _step(fits, chosen), strict=True)
    ]
    if as_document:
        parameters = fits[0].work.student.total
        emit(
            EstimateAnswer(
                student=student,
                parameters=parameters,
                teachers=len(fits[0].work.teachers),
                flavor=chosen.name,
                layouts=layouts,
                alone=[
                    AloneAnswer(stage=need.stage, bytes=need.phase.total, limit_bytes=need.limit)
                    for need in needs
                ],
                refusal=refusal,
            )
        )
    else:
        _show(fits[0], layouts, needs)
        if refusal:
            say(refusal)
    if refusal:
        raise SystemExit(1)


def _fits(
    student: str,
    teachers: list[str],
    flavor: "Flavor",
    ranks: list[int],
    asked: "tuple[Workload, int]",
) -> "list[Fit]":
    from tasks.estimate.question import fits_of, named_teachers
    from tasks.estimate.shape import named_shape

    load, prompt_tokens = asked
    shape = named_shape(_folder(student))
    return fits_of(
        shape,
        named_teachers([_folder(name) for name in teachers], shape),
        flavor,
        load,
        prompt_tokens,
        ranks,
    )


def _folder(name: str) -> str:
    """Return the folder of a registered model; a name without @ as it is."""
    if "@" not in name:
        return name
    store = open_store()
    entry = Registry(store).resolve(name)
    digest = entry.digest
    if entry.kind == "release":
        digest = read_manifest(store, digest, Release).checkpoint.digest
    elif entry.kind == "student":
        digest = read_manifest(store, digest, Student).checkpoint.digest
    return str(store.tree(digest))


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise InputError(f"--ranks has {text!r}, but ranks are whole numbers, such as 8,16")
    return int(text)


def _step(fits: "list[Fit]", flavor: "Flavor") -> "list[StepTime]":
    """Return the time of a step: of the flavor's GPUs, else of this machine's CPU."""
    from tasks.estimate.traffic import step_time, step_time_on_cpu
    from tasks.gate.machine import this_cpu
    from tasks.platform.gpus import GPUS

    if gpu := GPUS.get(flavor.gpu):
        return [step_time(fit.work, gpu) for fit in fits]
    speed = this_cpu().operations_per_second
    return [step_time_on_cpu(fit.work, speed) for fit in fits]


def _alone(fit: "Fit", flavor: "Flavor", prompts: int) -> "list[Need]":
    from tasks.estimate.alone import Sampled, needs_of

    return needs_of(fit.work, flavor, fit.limits, Sampled(prompts))


def _layout(fit: "Fit", flavor: "Flavor", time: "StepTime") -> LayoutAnswer:
    from tasks.estimate.host import ledger_bytes, stored_in_all
    from tasks.estimate.memory import phases
    from tasks.estimate.traffic import gpus_of_server, traffic
    from tasks.platform.gpus import GPUS

    work, gpu = fit.work, GPUS.get(flavor.gpu)
    steps = work.load.rounds * work.load.loop.num_steps
    return LayoutAnswer(
        ranks=work.num_ranks,
        nodes=-(-work.num_ranks // work.ranks_per_node),
        missing=fit.missing,
        device_bytes=fit.peak.total,
        device_limit_bytes=fit.limits.device,
        phases=[
            EstimatedPhase(name=phase.name, bytes=phase.total, parts=dict(phase.parts))
            for phase in phases(work)
        ],
        host_bytes=fit.host.total,
        host_limit_bytes=fit.limits.host,
        ledger_bytes=ledger_bytes(work),
        stored_bytes=stored_in_all(work),
        received_bytes_a_step=traffic(work).total,
        seconds_a_step=vars(time),
        seconds=steps * time.total,
        gpus_of_servers=work.load.servers * gpus_of_server(work, gpu) if gpu else 0,
    )


def _show(fit: "Fit", layouts: list[LayoutAnswer], needs: "list[Need]") -> None:
    work, load, limits = fit.work, fit.work.load, fit.limits
    say(
        f"{work.student.total / 1e9:.2f} B parameters, {len(work.teachers)} teachers (largest "
        f"{work.largest_teacher.total / 1e9:.2f} B), {load.loop.num_steps} steps of "
        f"{load.rollouts_per_step} rollouts a domain, up to {work.row} tokens each."
    )
    say(
        f"GiB under {limits.name}, where a rank has {_size(limits.device)} and a node's host "
        f"{_size(limits.host)}:"
    )
    columns = ("ranks", "rank", "host", "ledger", "stored", "received", "step", "rounds", "fits")
    tabulate(columns, [_row(layout) for layout in layouts])
    say()
    say(f"On {layouts[0].ranks} ranks, GiB of a rank by phase:")
    for phase in sorted(layouts[0].phases, key=lambda phase: -phase.bytes):
        parts = sorted(phase.parts.items(), key=lambda part: -part[1])
        named = ", ".join(
            f"{name} {_size(size)}" for name, size in parts if size > phase.bytes / 50
        )
        say(f"{_size(phase.bytes):>8}  {phase.name}: {named}")
    say()
    for need in needs:
        say(f"{need.stage.value}: {need.summary}")
    if load.servers:
        more = f", {layouts[0].gpus_of_servers} GPUs at least" if layouts[0].gpus_of_servers else ""
        say(f"vLLM servers: {load.servers}{more}. They come on top, at a guessed speed.")
    say(_NOTE)


def _row(layout: LayoutAnswer) -> list[str]:
    sizes = (
        layout.device_bytes,
        layout.host_bytes,
        layout.ledger_bytes,
        layout.stored_bytes,
        layout.received_bytes_a_step,
    )
    step = sum(layout.seconds_a_step.values())
    times = (format_seconds(step), format_seconds(layout.seconds))
    return [str(layout.ranks), *map(_size, sizes), *times, "no" if layout.missing else "yes"]


def _size(size: int) -> str:
    return f"{size / _GIB:,.2f}" if size < _GIB else f"{size / _GIB:,.1f}"
