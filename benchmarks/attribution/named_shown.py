"""Who is named right, as tables from ``attribution.json``; they load no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.common.markdown import result, table

Part = Mapping[str, Any]
LOG_RATIO = "teacher over fork point"
RETRAIN = "absence itself, one retrain each"
BEST_GUESS = "rehearsal + a tenth of tracin, bounded"
SHOWN = {
    RETRAIN: "a retrain without each (absence itself)",
    "taught and heard": "smaller of integral and log-ratio",
    "tracin": "TracIn",
    "tracin, bounded": "TracIn, bounded",
    BEST_GUESS: "rehearsal + a tenth of TracIn, bounded",
    "three quarters": "surgery of three quarters",
    "half of it": "surgery of half",
    "a quarter": "surgery of a quarter",
    "less what others took back": "surgery, less what others took back",
}
"""What a table calls an estimator or a substitute, where the file has another name."""
PLANTED = ("own domain", "shared prompts", "off domain")
TAUGHT = (*PLANTED, "style")
UNTAUGHT = "nobody"
NAMING = (
    *(LOG_RATIO, "taught and heard", "rehearsal", RETRAIN, "tracin", "path integral"),
    *("distance moved", "owner of the domain", "surgery"),
)


def figures() -> Part:
    """Return the figures of the result file."""
    found: Part = result("attribution")["figures"]
    return found


def title(name: str) -> str:
    """Return how a table calls an estimator."""
    return SHOWN.get(name, name)


def count(part: Part) -> int:
    """Return the number that a share of the file stands for."""
    return round(float(part["share"]) * int(part["of"]))


def _share(part: Part) -> str:
    return f"{part['share']:.2f} ({part['low']:.2f} to {part['high']:.2f})"


def plain_table(found: Part) -> str:
    """Return counts of right names: by the product and by the log-ratio alone, of all asked."""
    product, alone = found["verdict"]["right"], found["naming"][LOG_RATIO]["right"]
    rows = [_counts(kind, [product[kind]], [alone[kind]]) for kind in PLANTED]
    planted = [[each[kind] for kind in PLANTED] for each in (product, alone)]
    rows.append(_counts("**planted, together**", *planted))
    rows.append(_counts("style", [product["style"]], [alone["style"]]))
    rows.append(_counts("untaught, and not named", [product[UNTAUGHT]], [alone[UNTAUGHT]]))
    holders = found["two_holders"]
    heard, plants = holders["verdict"]["who was heard"], holders["plants"]
    first = round(holders["largest"][LOG_RATIO]["who was heard"] * plants)
    held = f"{heard} of {plants}"
    rows.append(("two holders, the distilled one named alone", held, held, f"{first} of {plants}"))
    heads = (
        "behaviors",
        "product, of those taken up",
        "product, of all",
        "log-ratio alone, of all",
    )
    return table(heads, rows)


def _counts(what: str, product: Sequence[Part], alone: Sequence[Part]) -> tuple[str, ...]:
    right, taken_up = sum(map(count, product)), sum(part["of"] for part in product)
    every = sum(part["of"] for part in alone)
    first = f"{sum(map(count, alone))} of {every}"
    return (what, f"{right} of {taken_up}", f"{right} of {every}", first)


def naming_table(found: Part) -> str:
    """Return by estimator its threshold and whom it names right, on sets 2 to 6."""
    heads = ("estimator", "threshold", *TAUGHT, "untaught", "right teacher largest, all sets")
    rows = []
    for name in NAMING:
        part = found["naming"][name]
        largest = " / ".join(f"{part['largest'][kind]['share']:.2f}" for kind in PLANTED)
        cells = [_share(part["right"][kind]) for kind in (*TAUGHT, UNTAUGHT)]
        rows.append((title(name), f"{part['threshold']:g}", *cells, largest))
    return table(heads, rows)


def verdict_table(found: Part) -> str:
    """Return how often the product's rule is right, and how often it names another teacher."""
    verdict = found["verdict"]
    right = [
        f"{_share(part)} of {part['of']}"
        for kind in (*TAUGHT, UNTAUGHT)
        for part in [verdict["right"][kind]]
    ]
    another = [_share(verdict["another"][kind]) for kind in TAUGHT]
    rows = (("right", *right), ("another is named", *another, ""))
    words = "\n".join(
        f"Where the named teacher's updates {pushed}: {part['share']:.0%} of {part['of']} names "
        "were right."
        for pushed, key in (("pushed toward it", "pushed towards it"), ("did not", "did not"))
        for part in [verdict["names"][key]]
    )
    return table(("", *TAUGHT, "untaught"), rows) + f"\n{words}\n"


def holders_table(found: Part) -> str:
    """Return which of two teachers that hold a behavior is ranked first, and the verdicts."""
    part = found["two_holders"]
    plants, verdict = part["plants"], part["verdict"]
    rows = [
        (
            title(name),
            *(f"{round(shares[who] * plants)}" for who in ("who was heard", "who was not")),
        )
        for name, shares in part["largest"].items()
    ]
    heads = (f"estimator, {plants} plants", "largest: the distilled one", "largest: the other")
    lost = part["median_nats_lost_without"]
    return table(heads, rows) + (
        f"\nThe product's verdict: the distilled one alone {verdict['who was heard']}, both "
        f"{verdict['both']}, the other alone {verdict['who was not']}, none {verdict['nobody']}. "
        f"Median loss in a retrain: {lost['bank']:.2f} nats without the teacher that was "
        f"distilled, {abs(lost['court']):.2f} without the other.\n"
    )
