"""Tables of a step against other code and against the machine's limits, from committed results."""

from collections.abc import Callable
from statistics import median

from benchmarks.common.markdown import result, table
from benchmarks.common.results import Row

_PHASES = (
    *("rollout", "teacher forward", "student forward"),
    *("heads and loss", "backward"),
)
_LOSSES = {
    "full_vocabulary": "exact reverse KL",
    "forward": "forward KL",
    "top_k_teacher": "top {k} of the teacher, corrected",
    "top_k_union": "top {k} of both, corrected",
    "sampled_token": "sampled token",
}


def step_versus() -> str:
    """Return one step of TRL and of this project, whole and by phase."""
    found = result("step_versus_cpu1")["figures"]

    def ratio(clock: str) -> str:
        row = found["ratio"][clock]
        return f"{row['median']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"

    def seconds(clock: str, phase: str) -> list[float]:
        return [found[side][clock][phase]["median"] for side in ("trl", "provost")]

    rows: list[tuple[object, ...]] = [
        ("processor seconds a step", *_three(seconds("processor", "step")), ratio("processor")),
        ("seconds by the clock", *_three(seconds("wall", "step")), ratio("wall")),
    ]
    for phase in _PHASES:
        theirs, ours = seconds("processor", phase)
        rows.append((phase, *_three([theirs, ours]), f"{theirs / ours:.2f}"))
    return table(("", "TRL", "this project", "ratio"), rows)


def _three(seconds: list[float]) -> list[str]:
    return [f"{each:.3f}" for each in seconds]


def step_limits() -> str:
    """Return how much of the matmul peak each phase reaches."""
    found = result("step_limits_cpu1")["figures"]
    rows = [
        (
            phase,
            f"{100 * found['phases'][phase]['share_of_step']:.0f} %",
            f"{100 * found['phases'][phase]['share_of_matmul_peak']:.0f} %",
        )
        for phase in _PHASES
    ]
    learner = f"{100 * found['learner_share_of_matmul_peak']:.0f} %"
    rows.append(("learner as a whole", "-", learner))
    heads = ("phase", "share of the step", "share of the matmul peak")
    return table(heads, rows)


def sampler() -> str:
    """Return how much faster rollouts are than transformers' ``generate``."""
    cases = result("sampler")["figures"]["cases"]
    names = ("rows", "context_tokens", "new_tokens", "vocabulary")
    heads = (*(name.replace("_", " ") for name in names), "times as fast")
    return table(
        heads,
        (
            (*(f"{case[name]:,}" for name in names), f"{case['faster_than']['generate']:.2f}")
            for case in cases
        ),
    )


def objectives() -> str:
    """Return what each loss costs against autograd on a log-softmax, at two vocabularies."""
    found = result("objectives")["figures"]
    shown = {"8192 tokens, 1024 words": "1,024", "256 tokens, 131072 words": "131,072"}
    rows = []
    for case, words in shown.items():
        for name, what in _LOSSES.items():
            row = found[case][name]
            rows.append(
                (
                    words,
                    what.format(k=found["k"]),
                    f"{row['speed_over_plain']:.2f}",
                    f"{row['peak_tensors']:.2f}",
                    f"{row['plain_peak_tensors']:.1f}",
                )
            )
    heads = ("words", "loss", "times as fast", "peak, in tensors of `[tokens, vocabulary]`")
    return table((*heads, "plain autograd's"), rows)


def teacher_pool() -> str:
    """Return memory and time by number of teachers, and both over those of one."""
    found = result("teacher_pool")["figures"]
    pool = {
        teachers: (
            row["peak_mib"],
            median(found["step_seconds"][teachers]),
            median(found["processor_seconds"][teachers]),
        )
        for teachers, row in found["memory"].items()
    }
    rows = [
        (
            teachers,
            f"{mib:,}",
            f"{mib / pool['1'][0]:.2f}",
            *(
                cell
                for value, one in ((clock, pool["1"][1]), (busy, pool["1"][2]))
                for cell in (f"{value:.1f}", f"{value / one:.2f}")
            ),
        )
        for teachers, (mib, clock, busy) in pool.items()
    ]
    heads = ("teachers", "peak, MiB", "over one", "seconds by the clock", "over one")
    return table((*heads, "processor seconds", "over one"), rows)


def ledger_overhead() -> str:
    """Return what splitting an update by source, and keeping a ledger, add to a step."""
    found = result("step_ledger_cpu1")["figures"]["processor"]
    rollout = found["rollout_seconds"]
    rows = [
        (name, f"{seconds:.3f}", f"{rollout + seconds:.3f}", _overhead(found, name))
        for name, seconds in found["update_seconds_mean"].items()
    ]
    heads = ("update", "processor seconds", "with its rollout", "over one AdamW")
    return table(heads, rows)


def _overhead(found: Row, name: str) -> str:
    share = found["overhead_of_a_step"].get(name)
    return "-" if share is None else f"{100 * share:.1f} %"


def vocabulary() -> str:
    """Return the peak memory of each objective by size of the vocabulary, in MiB."""
    found = result("step_vocabulary")["figures"]
    words = list(found["full_vocabulary"])
    return table(
        ("objective", *(f"{int(each):,} words" for each in words)),
        (
            (name.replace("_", " "), *(f"{rows[each]['peak_mib']:,.0f}" for each in words))
            for name, rows in found.items()
        ),
    )


def step_ahead() -> str:
    """Return how much shorter a step is whose rollouts were sampled one step ahead."""
    rows = (
        (
            f"{1000 * row['token_seconds']:.0f}",
            f"{row['waiting']['step']['median']:.2f}",
            f"{row['ahead']['step']['median']:.2f}",
            "{median:.2f} ({lower:.2f} to {upper:.2f})".format(**row["times_shorter"]),
        )
        for row in result("step_ahead")["figures"]["servers"]
    )
    heads = ("server's ms a token", "seconds, waiting", "seconds, one step ahead", "times shorter")
    return table(heads, rows)


COMPARISONS: dict[str, Callable[[], str]] = {
    "step_versus": step_versus,
    "step_limits": step_limits,
    "sampler": sampler,
    "objectives": objectives,
    "teacher_pool": teacher_pool,
    "ledger_overhead": ledger_overhead,
    "vocabulary": vocabulary,
    "step_ahead": step_ahead,
}
