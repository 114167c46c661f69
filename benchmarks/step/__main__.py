"""The speed of one step (rollout, scoring, update): against TRL, against the machine, by size.

Each command writes results/step_<name>.json; ``plots`` draws docs/pictures/performance-*.png.

    python -m benchmarks.step versus --threads 1        # against TRL's DistillationTrainer
    python -m benchmarks.step real                      # the same at the shape of a 135 M model
    python -m benchmarks.step real --without-kernels    # what tasks.model.kernels is worth there
    python -m benchmarks.step ledger                    # what a ledger of four teachers costs
    python -m benchmarks.step limits                    # each phase against the machine's limits
    python -m benchmarks.step curve vocabulary          # or length, batch, teachers
    python -m benchmarks.step on_paper                  # the estimate against FakeTensor runs
    python -m benchmarks.step memory                    # the estimate against measured peaks
    python -m benchmarks.step plots
    python -m benchmarks.step versus --device cuda      # 1.3 B parameters, 256 new tokens, bf16
    python -m benchmarks.step sizes --device cuda       # 0.135 B to 7.6 B; or some by name
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

# Before anything imports transformers or trl: no telemetry, no network.
os.environ |= {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts, write_result
from benchmarks.common.process import in_own_process
from benchmarks.common.results import as_text, load, write_whole
from benchmarks.step.case import Case
from benchmarks.step.sizes import SIZES, measured
from tasks.model.kernels.switch import without_kernels
from tasks.mopd.settings import Divergence

NAMES = ("length", "batch", "teachers", "vocabulary")
LARGE = Case(
    hidden_size=2048,
    num_layers=16,
    num_heads=16,
    num_key_value_heads=8,
    head_size=128,
    feed_forward_size=8192,
    vocabulary_size=151_936,
    rollouts=64,
    new_tokens=256,
    precision="bfloat16",
    microbatch_tokens=16_384,
    learning_rate=1e-6,
)
"""1.3 billion weights; what a GPU is measured with."""
ON_A_CPU = ("memory", "on_paper")
"""What never runs on a GPU."""


Found = tuple[str, Any]
"""Name and content of a result."""


def main() -> None:
    """Do one measurement."""
    told = _options()
    if told.what == "sizes":
        _sizes(told.which or SIZES, told.device)
    elif told.what == "plots":
        from benchmarks.step.plots import draw_all  # noqa: PLC0415

        draw_all()
    else:
        size = LARGE if told.device == "cuda" else Case()
        name, content = _MEASURED[told.what](
            told, replace(size, device=told.device, threads=told.threads)
        )
        write_result(f"step_{name}", told.device, content)


def _versus(told: argparse.Namespace, case: Case) -> Found:
    from benchmarks.step.versus import against_trl  # noqa: PLC0415 - trl takes seconds to import

    rows = told.trl_rows or (16 if told.device == "cuda" else 64)
    return f"versus_{_where(case)}", against_trl(case, rows, told.steps)


def _real(told: argparse.Namespace, _case: Case) -> Found:
    from benchmarks.step.real_shape import at_real_shape, case_of  # noqa: PLC0415

    case = case_of(told.precision, told.threads, told.responses, told.device)
    name = f"real_{told.precision}_{_where(case)}_responses{told.responses}"
    if not told.without_kernels:
        return name, at_real_shape(case, told.steps)
    with without_kernels():
        return f"{name}_without_kernels", at_real_shape(case, told.steps)


def _ledger(_told: argparse.Namespace, case: Case) -> Found:
    from benchmarks.step.ledger import ledger_overhead  # noqa: PLC0415

    return f"ledger_{_where(case)}", ledger_overhead(replace(case, num_teachers=4), segments=2)


def _limits(_told: argparse.Namespace, case: Case) -> Found:
    from benchmarks.step.limits import limits  # noqa: PLC0415

    return f"limits_{_where(case)}", limits(case)


def _on_paper(_told: argparse.Namespace, _case: Case) -> Found:
    from benchmarks.step.on_paper import on_paper  # noqa: PLC0415

    return "on_paper", on_paper()


def _memory(_told: argparse.Namespace, _case: Case) -> Found:
    from benchmarks.step.memory import measured_peaks  # noqa: PLC0415

    return "memory", measured_peaks()


def _of_curve(told: argparse.Namespace, _case: Case) -> Found:
    (curve,) = told.which
    return curve, _curve(curve, told.device)


def _where(case: Case) -> str:
    return case.device if case.device == "cuda" else f"cpu{case.threads}"


_MEASURED: Mapping[str, Callable[[argparse.Namespace, Case], Found]] = {
    "versus": _versus,
    "real": _real,
    "ledger": _ledger,
    "limits": _limits,
    "curve": _of_curve,
    "memory": _memory,
    "on_paper": _on_paper,
}


def _curve(curve: str, device: str) -> dict[str, Any]:
    from benchmarks.step.curves import CURVES, point  # noqa: PLC0415

    forms = list(Divergence) if curve == "vocabulary" else [Divergence.FULL_VOCABULARY]
    return {
        form: {
            label: point(replace(case, device=device), form)
            for label, case in CURVES[curve].items()
        }
        for form in forms
    }


def _sizes(names: Iterable[str], device: str) -> None:
    """Measure sizes, each in a process of its own; those of earlier calls are kept."""
    file = RESULTS / f"step_sizes_{device}.json"
    for name in names:
        size = SIZES[name]
        case = replace(size.case, device=device, precision="bfloat16", learning_rate=1e-6)
        circumstances = facts(device)
        row = in_own_process(measured, case, size)
        kept = load(file, {"sizes": {}})
        kept["sizes"][name] = row | {"circumstances": circumstances}
        write_whole(file, kept)
        sys.stdout.write(as_text(row))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = (
        "versus",
        "real",
        "ledger",
        "limits",
        "curve",
        "sizes",
        "plots",
        "memory",
        "on_paper",
    )
    parser.add_argument("what", choices=choices)
    parser.add_argument("which", nargs="*", help="the curve of `curve`, or sizes of `sizes`")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="of each side that count")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--responses", type=int, choices=(1, 8), default=8, help="to each prompt")
    parser.add_argument("--without-kernels", action="store_true", help="of `real`")
    parser.add_argument("--trl-rows", type=int, help="rollouts a microbatch of TRL's")
    told = parser.parse_args()
    named = {"curve": [*NAMES], "sizes": [*SIZES]}.get(told.what, [])
    takes_one = told.what == "curve"
    if set(told.which) - set(named) or (takes_one and len(told.which) != 1):
        parser.error(f"`{told.what}` takes {'one' if takes_one else 'some'} of {named}")
    if told.without_kernels and told.what != "real":
        parser.error("--without-kernels is an option of `real`")
    if told.what in ON_A_CPU and told.device != "cpu":
        parser.error(f"`{told.what}` is measured on a CPU: leave --device out")
    if told.what == "sizes" and told.device != "cuda":
        parser.error("`sizes` are measured on a GPU: add --device cuda")
    return told


if __name__ == "__main__":
    main()
