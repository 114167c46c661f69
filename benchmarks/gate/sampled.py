"""The same cases by the sampled-token objective, and what remedies do for those that lose there.

The exact divergence teaches every word at every position, also those that the student never says;
the sampled-token form teaches only what it says.
"""

from pathlib import Path

from benchmarks.gate import cases as gate
from benchmarks.gate.mismatch import Family
from benchmarks.gate.outcome import LEAST_GAIN, Otherwise, merged
from benchmarks.gate.remedies import DELTA, WARM_UP, Patient, keep
from tasks.mopd.settings import Divergence

SAMPLED = {"divergence": Divergence.SAMPLED_TOKEN}
FOREIGN = {"SFT teacher", "other base", "sibling SFT", "over-trained"}


def run_sampled(results: Path, family: Family, seed: int) -> None:
    """Merge by the sampled token what has something to teach; then again with each remedy."""
    for name, row in gate.read(results)["cases"].items():
        outcome = row["outcome"]
        helpless = outcome["teacher"] - outcome["start"] < LEAST_GAIN
        if row["seed"] != seed or helpless or row["kind"] == "noise":
            continue
        case = gate.Case(seed, row["kind"], row["domain"], row["level"])
        own = family.teacher(case.domain)
        checkpoint = gate.checkpoint_of(family, case, own)
        if name not in gate.read(results)["sampled"]:
            found = merged(family, own, checkpoint, Otherwise(objective=SAMPLED))
            keep(results, "sampled", name, vars(found))
        patient = Patient(family, case, own, checkpoint)
        for remedy in (WARM_UP, DELTA) if case.kind in FOREIGN else ():
            key = f"{name} {remedy}"
            if key in gate.read(results)["remedies"]:
                continue
            after = patient.remedied(remedy, SAMPLED)
            if after is not None:
                keep(results, "remedies", key, {"case": name, "remedy": remedy} | vars(after))
