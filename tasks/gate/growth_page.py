"""What the gate learned from earlier merges, for people."""

from tasks.gate.growth import Growth
from tasks.page.html import Html, element, join


def growth_section(growth: Growth) -> Html:
    """Return the outcomes that were learned from, or how many are still missing."""
    if not growth.used:
        found = f"{growth.found} outcome{'s' * (growth.found != 1)}"
        return element(
            "p",
            {},
            f"{found} of merges under the same settings of the round; from {growth.needed} on they "
            "correct what is expected. Here the built-in calibration speaks alone.",
        )
    names = ("teacher", "built-in expected", "came")
    head = element("tr", {}, *(element("th", {"scope": "col"}, name) for name in names))
    body = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, each.teacher),
            element("td", {}, f"{each.expected:.2f}"),
            element("td", {}, f"{each.came:.2f}"),
        )
        for each in growth.used
    ]
    table = element(
        "table", {"class": "plain"}, element("thead", {}, head), element("tbody", {}, *body)
    )
    said = (
        f"{len(growth.used)} outcomes of merges under the same settings of the round moved the "
        f"calibration by {growth.bias:+.2f} logits; a standard deviation of {growth.spread:.2f} "
        "stands behind the intervals. They are of teachers that went through a gate: of others "
        "they say little."
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "outcomes"}
    return join([element("p", {}, said), element("div", scroll, table)])
