"""Tables of the project's own estimates, which rest on no measurement of these sizes."""

from benchmarks.common.markdown import table
from tasks.ledger.estimate import RunSize, estimate, stored_bytes
from tasks.ledger.schema import LedgerSettings, StoredPrecision


def memory() -> str:
    """Return the bytes that a round needs by the project's own estimate, for some sizes."""

    def gigabytes(trained: float, whole: float, ranks: int, *, exact: bool) -> str:
        size = RunSize(int(trained), 4, 0, 1, 1)
        needed = estimate(size, LedgerSettings(displacements=exact), 1.0).memory
        return f"{((needed + 4 * whole) / ranks + 4 * whole) / 1e9:,.0f}"

    sizes = {"0.135 B": 0.135e9, "1 B": 1e9, "8 B": 8e9, "32 B": 32e9}
    return table(
        ("student and teachers", "ranks", "exact ledger", "ledger by replay", "LoRA, 1 % trained"),
        (
            (
                name,
                ranks,
                gigabytes(count, count, ranks, exact=True),
                gigabytes(count, count, ranks, exact=False),
                gigabytes(count / 100, count, ranks, exact=True),
            )
            for name, count in sizes.items()
            for ranks in (1, 8)
        ),
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
