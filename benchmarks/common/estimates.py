"""Tables of the project's own estimates, which rest on no measurement of these sizes."""

from benchmarks.common.circumstances import RESULTS
from benchmarks.common.markdown import NOT_RUN, table
from benchmarks.common.results import load
from tasks.estimate.layouts import Change
from tasks.estimate.question import fits_of
from tasks.estimate.shape import named_shape
from tasks.ledger.estimate import RunSize, stored_bytes
from tasks.ledger.schema import LedgerSettings, StoredPrecision
from tasks.model.settings import AdapterSettings, Precision
from tasks.mopd.round_form import RoundForm
from tasks.platform.resources import load_flavor

_GIB = 1 << 30


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


def ledger_options() -> str:
    """Return what each cheaper ledger loses of an audit."""
    found = load(RESULTS / "ledger_options.json", {})
    if not found:
        return NOT_RUN
    return table(
        ("option", "mean error", "largest error", "same teacher"),
        (
            (
                name,
                f"{row['mean_error']:.1e}",
                f"{row['largest_error']:.1e}",
                f"{100 * row['same_teacher']:.0f} %",
            )
            for name, row in found["figures"]["options"].items()
        ),
    )
