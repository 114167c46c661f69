"""The scorecards of README as pictures, with what they found and a better control they lack."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.circumstances import PICTURES
from benchmarks.common.markdown import result
from benchmarks.common.results import Row, load
from benchmarks.platform.demo_tables import OFF_POLICY, SHOWN_SEED
from benchmarks.real.settings import SEEDS
from tasks.evaluate.plot import write_plot
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.scores import OVERALL
from tasks.evaluate.wording import NO_BREAK, headline

PICTURE = PICTURES / "scorecard.png"


def draw(results: Mapping[str, Any]) -> None:
    """Draw the scorecard of the shown seed, if the results have it."""
    if SHOWN_SEED in results["seeds"]:
        write_plot(_card(results["seeds"][SHOWN_SEED]), PICTURE)


def demo_picture() -> str:
    """Return the picture for README, with its finding and how off-policy SFT does."""
    case = result("demo")["seeds"][SHOWN_SEED]
    card = _card(case)
    shown = pictured(card, f"The demo's scorecard of seed {SHOWN_SEED}.", PICTURE) + "\n"
    if OFF_POLICY in card.methods():
        lead = card.paired[OVERALL][OFF_POLICY]
        return shown + (
            f"MOPD less off-policy SFT, seed {SHOWN_SEED}: {lead.mean:+.3f} "
            f"({lead.low:+.3f} to {lead.high:+.3f}).\n"
        )
    return shown + (
        f"**Off-policy SFT is not in this picture**: the run is of {case['commit'][:7]}, when it "
        f"was not yet a control. {elsewhere()}\n"
    )


def proof_picture() -> str:
    """Return the picture of the first seed of the real model, for README."""
    first = min(scored())
    card = Scorecard.from_document(scored()[first])
    return pictured(card, f"The real model's scorecard of seed {first}.", PICTURES / "real.png")


def pictured(card: Scorecard, what: str, picture: Path) -> str:
    """Return a picture for README; its text is the finding of the scorecard."""
    finding = headline(card).replace(NO_BREAK, " ")
    return f"![{what} {finding}]({picture.relative_to(ROOT).as_posix()})\n"


def scored() -> dict[int, Row]:
    """Return the scorecards of the real model by seed."""
    files = {seed: RESULTS / "real" / f"scorecard_{seed}.json" for seed in SEEDS}
    return {
        seed: load(file, {})["figures"]["card"] for seed, file in files.items() if file.exists()
    }


def elsewhere() -> str:
    """Return in how many comparisons off-policy SFT is ahead, on the real model and on the map."""
    points = result("map")["figures"]["points"].values()
    leads = [row["methods"][OFF_POLICY]["mopd_lead"] for row in points if row["methods"]]
    real = [card["paired"][OVERALL][OFF_POLICY] for card in scored().values()]
    below, at = (sum(each["high"] < 0 for each in part) for part in (real, leads))
    return (
        f"With an interval below 0, MOPD falls short of it in {below} of {len(real)} seeds of the "
        f"[real model](benchmarks/results/real) and at {at} of {len(leads)} points of the "
        "[map](benchmarks/results/map.json)."
    )


def _card(case: Mapping[str, Any]) -> Scorecard:
    return Scorecard.from_document(case["scorecard"])
