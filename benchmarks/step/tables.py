"""The tables of a step's speed, from the committed results."""

from statistics import median

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import NOT_RUN, result, table
from benchmarks.common.results import Row, load
from benchmarks.common.statistics import spread
from benchmarks.step.comparison_tables import COMPARISONS
from benchmarks.step.weighting_table import weighting, weighting_gains

PHASES = (
    *("teacher forward", "student forward", "heads and loss"),
    *("backward", "optimizer", "rest"),
)


def shared_prefixes() -> str:
    """Return what reading shared tokens once saves: of all rows, and of each prompt's responses."""
    found = result("shared_beginning")["figures"]
    lines = [(f"{row['shared']} of all rows", row) for row in found["rows"]]
    responses = found.get("responses_per_prompt")
    lines += [
        (f"{row['prompt']} of each prompt's {responses} responses", row)
        for row in found.get("groups", ())
    ]
    return table(
        ("tokens in common", "of all tokens saved", "teacher's pass", "student's, with backward"),
        (
            (
                name,
                f"{100 * row['tokens_saved']:.0f} %",
                f"{row['forward']['median']:.2f}",
                f"{row['forward_and_backward']['median']:.2f}",
            )
            for name, row in lines
        ),
    )


def step_real() -> str:
    """Return one step at the shape of a 135 M model against TRL, in each setting that was run."""
    files = sorted(RESULTS.glob("step_real_*.json"))
    rows = [load(file, {})["figures"] for file in files]
    if not rows:
        return NOT_RUN
    return table(
        (
            *("precision", "threads", "responses to a prompt", "TRL, s", "this project, s"),
            *("ratio", "share of the limit", "by phase"),
        ),
        (_real_row(row) for row in rows),
    )


def _real_row(row: Row) -> tuple[object, ...]:
    case = row["case"]
    clock = "processor" if case["threads"] == 1 else "wall"
    ratio = row["ratio"][clock]
    limits = row["limits"].items()
    return (
        case["precision"],
        case["threads"],
        case["responses_per_prompt"],
        *(f"{row[side][clock]['step']['median']:.1f}" for side in ("trl", "provost")),
        f"**{ratio['median']:.2f}** ({ratio['lower']:.2f} to {ratio['upper']:.2f})",
        f"{100 * row['share_of_limit']:.0f} %",
        ", ".join(f"{name} {100 * each['reached']:.0f} %" for name, each in limits),
    )


def step_supervised() -> str:
    """Return one step of SFT against TRL's trainer, plain and with rows of like length."""
    files = sorted(RESULTS.glob("step_supervised_*.json"))
    rows = {file.stem.rpartition("_")[2]: load(file, {})["figures"] for file in files}
    if not rows:
        return NOT_RUN
    return table(
        (
            *("shape", "rows", "tokens of a row", "of these learned", "TRL, s"),
            *("TRL with rows of like length, s", "this project, s", "TRL / this", "grouped / this"),
        ),
        (_supervised_row(shape, row) for shape, row in rows.items()),
    )


def _supervised_row(shape: str, row: Row) -> tuple[object, ...]:
    """Return medians, and the ratio of neighboring steps; grouped batches compare as a whole."""
    trl, grouped, ours = (row["seconds"][side] for side in ("trl", "trl_grouped", "ours"))
    ratio = spread([one / two for one, two in zip(trl, ours, strict=True)])
    return (
        *(shape, row["rows"], row["tokens"], row["learned"]),
        *(f"{median(seconds):.2f}" for seconds in (trl, grouped, ours)),
        f"**{ratio['median']:.2f}** ({ratio['lower']:.2f} to {ratio['upper']:.2f})",
        f"{sum(grouped) / sum(ours):.2f}",
    )


def gpu_sizes() -> str:
    """Return what an update of real sizes takes on a GPU, without and with a ledger."""
    return table(
        (
            *("weights", "teachers", "new tokens", "seconds", "new tokens/s", "share of the peak"),
            *("seconds with a ledger", "peak GiB", "peak GiB with a ledger"),
        ),
        (
            (
                name,
                row["case"]["num_teachers"],
                f"{row['new_tokens']:,}",
                f"{median(row['seconds']['learning']):.2f}",
                f"{row['new_tokens_a_second']['learning']:,}",
                f"{row['share_of_peak']['learning']:.0%}".replace("%", " %"),
                f"{median(row['ledger']['learning_seconds']):.2f}" if "ledger" in row else "",
                row["peak_gib"],
                row.get("ledger", {}).get("peak_gib", ""),
            )
            for name, row in result("step_sizes_cuda")["sizes"].items()
        ),
    )


def gpu_phases() -> str:
    """Return where the seconds of an update on a GPU go."""
    rows = result("step_sizes_cuda")["sizes"]
    return table(
        ("phase", *rows),
        (
            (phase, *(f"{row['learning_seconds_by_phase'][phase]:.2f}" for row in rows.values()))
            for phase in PHASES
        ),
    )


def gpu_choices() -> str:
    """Return updates of one model on a GPU by variant."""
    of_variants = "0.135 B, 256 rollouts of 256 new tokens, one teacher"
    rows = result("step_choices_cuda")["figures"][of_variants]["learning_seconds"]
    return table(
        ("variant", "seconds an update"),
        (
            (name, ", ".join(f"{s:.2f}" for s in (found if isinstance(found, list) else [found])))
            for name, found in rows.items()
        ),
    )


STEP = {
    "shared_prefixes": shared_prefixes,
    "step_real": step_real,
    "step_supervised": step_supervised,
    "gpu_sizes": gpu_sizes,
    "gpu_phases": gpu_phases,
    "gpu_choices": gpu_choices,
    "weighting": weighting,
    "weighting_gains": weighting_gains,
    **COMPARISONS,
}
