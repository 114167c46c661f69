"""Tables of the project's own estimates, which rest on no measurement of these sizes."""

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import NOT_RUN, result, table
from benchmarks.common.results import load
from tasks.estimate.layouts import Change
from tasks.estimate.question import fits_of
from tasks.estimate.shape import named_shape
from tasks.estimate.traffic import step_time
from tasks.ledger.estimate import RunSize, stored_bytes
from tasks.ledger.schema import LedgerSettings, StoredPrecision
from tasks.model.settings import AdapterSettings, Precision
from tasks.mopd.round_form import RoundForm
from tasks.platform.gpus import GPUS
from tasks.platform.resources import load_flavor

_MIB, _GIB = 1 << 20, 1 << 30


def memory() -> str:
    """Return the memory of a rank at the peak of a step by the project's own estimate."""
    form = RoundForm(student_precision=Precision.BF16, max_new_tokens=1024)
    adapter = AdapterSettings(rank=16, alpha=32)
    kinds = (
        Change(),
        Change(ledger={"displacements": False}),
        Change(loop={"adapter": adapter}),
    )
    rows = []
    for name in ("smollm2-135m", "qwen3-1.7b", "qwen3-8b", "qwen3-32b"):
        shape = named_shape(name)
        for fit in fits_of(
            shape, [shape] * 4, load_flavor("h100"), form.workload(), 256, ranks=(1, 8)
        ):
            peaks = (kind.of(fit).peak.total / _GIB for kind in kinds)
            rows.append((name, fit.work.num_ranks, *(f"{peak:,.0f}" for peak in peaks)))
    return table(
        ("student and teachers", "ranks", "exact ledger", "ledger by replay", "LoRA of rank 16"),
        rows,
    )


def ledger_sizes() -> str:
    """Return the terabytes of a round's ledger by the project's own estimate, at two sizes."""

    def terabytes(trained: float, settings: LedgerSettings) -> str:
        size = RunSize(int(trained), 4, 0, 120, 1)
        return f"{stored_bytes(size, settings) / 1e12:,.3f}"

    options = (
        ("fp32 displacements", 1.0, LedgerSettings()),
        ("bf16 displacements", 1.0, LedgerSettings(precision=StoredPrecision.BF16)),
        ("fp32, segments of 40 steps", 1.0, LedgerSettings(segment_steps=40)),
        ("replay: weights alone", 1.0, LedgerSettings(displacements=False)),
        ("adapters, 1 % trained", 0.01, LedgerSettings()),
    )
    return table(
        ("ledger", "7 B, TB", "70 B, TB"),
        (
            (name, *(terabytes(share * count, settings) for count in (7e9, 70e9)))
            for name, share, settings in options
        ),
    )


def ledger_needs() -> str:
    """Return memory and time of a round of 7 B and of 70 B by option of the ledger.

    Two servers sample and ranks share the teachers, so that no rank holds a whole model.
    """
    form = RoundForm(student_precision=Precision.BF16, max_new_tokens=1024)
    load = form.workload().model_copy(update={"servers": 2, "teachers_sharded": True})
    flavor = load_flavor("h100")
    options = (
        ("fp32 or bf16 displacements", Change()),
        ("replay: weights alone", Change(ledger={"displacements": False})),
        ("adapters of rank 16", Change(loop={"adapter": AdapterSettings(rank=16, alpha=32)})),
    )
    rows = []
    for name, ranks in (("qwen2.5-7b", 16), ("llama-3.1-70b", 64), ("llama-3.1-70b", 128)):
        shape = named_shape(name)
        [asked] = fits_of(shape, [shape] * 4, flavor, load, 256, ranks=(ranks,))
        for option, change in options:
            fit = change.of(asked)
            seconds = step_time(fit.work, GPUS[flavor.gpu]).total
            sizes = (fit.peak.total, fit.limits.device, fit.host.total)
            rank, room, host = (f"{size / _GIB:,.0f}" for size in sizes)
            rows.append((name, ranks, option, f"{rank} of {room}", host, f"{seconds:,.0f}"))
    head = ("student and teachers", "H100", "ledger", "GiB a rank", "GiB a host", "seconds a step")
    return table(head, rows)


def ledger_options() -> str:
    """Return what each cheaper ledger loses of an audit."""
    found = load(RESULTS / "ledger_options.json", {})
    if not found:
        return NOT_RUN
    columns = ("mean_error", "largest_error", "same_teacher", "mean_unexplained")
    shown = ("{:.1e}", "{:.1e}", "{:.0%}", "{:.1e}")
    return table(
        ("option", *(column.replace("_", " ") for column in columns)),
        (
            (name, *(_number(row.get(c), form) for c, form in zip(columns, shown, strict=True)))
            for name, row in found["figures"]["options"].items()
        ),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value).replace("%", " %")


def estimate_measured() -> str:
    """Return the estimate of a rank's memory beside measured peaks of small steps on a CPU."""
    from benchmarks.step import memory  # noqa: PLC0415 - it imports the learner

    rows = []
    for case, row in result("step_memory")["figures"].items():
        found = memory.estimated(row)
        measured, estimated = max(row["bytes"][phase] for phase in found), max(found.values())
        rows.append((case, *_beside(measured, estimated, _MIB)))
    heads = ("case", "measured peak, MiB", "estimate, MiB", "estimate over measured")
    return table(heads, rows)


def estimate_counted() -> str:
    """Return the estimate beside what the real learner of large models allocates on fake tensors.

    The phase that is farthest off is shown. FakeTensorMode alone keeps some whole models.
    """
    from benchmarks.step import paper as on_paper  # noqa: PLC0415 - it imports the learner

    rows = []
    for row in result("step_on_paper")["figures"]:
        paper = on_paper.Paper(**row["paper"])
        estimated, whole = on_paper.estimated(paper), on_paper.kept_whole(paper)
        counted = {
            phase: row["bytes"][phase] - whole for phase in estimated if phase in row["bytes"]
        }
        worst = max(counted, key=lambda phase: abs(estimated[phase] / counted[phase] - 1))
        teachers = "shared" if paper.shares_teachers else "whole"
        trained = "adapters" if paper.lora_rank else "all weights"
        named = (paper.preset, paper.num_ranks, trained, teachers, worst)
        rows.append((*named, *_beside(counted[worst], estimated[worst], _GIB)))
    sizes = ("counted, GiB", "estimate, GiB", "estimate over counted")
    heads = ("student", "ranks", "trained", "teachers", "phase", *sizes)
    return table(heads, rows)


def _beside(found: float, estimated: float, unit: int) -> tuple[str, str, str]:
    return f"{found / unit:,.0f}", f"{estimated / unit:,.0f}", f"{estimated / found:.3f}"
