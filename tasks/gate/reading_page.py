"""One teacher's reading of the student for people: where in an answer, and at which tokens."""

import math

from tasks.gate.measured import Reading
from tasks.page.html import Html, element, join


def course(reading: Reading) -> Html:
    """Draw the reverse KL over the fifths of an answer as bars."""
    most = max([*reading.kl_course, 1e-9])
    bars = [
        join(
            [
                element(
                    "rect",
                    {
                        "x": 10 + 60 * place,
                        "y": 70 - 60 * value / most,
                        "width": 44,
                        "height": 60 * value / most,
                        "fill": "currentColor",
                    },
                ),
                element(
                    "text",
                    {"x": 32 + 60 * place, "y": 86, "text-anchor": "middle", "font-size": 11},
                    f"{value:.2f}",
                ),
            ]
        )
        for place, value in enumerate(reading.kl_course)
        if math.isfinite(value)
    ]
    label = "Reverse KL over the fifths of an answer"
    drawing = element(
        "svg",
        {"viewBox": "0 0 310 92", "width": 310, "height": 92, "role": "img", "aria-label": label},
        *bars,
    )
    caption = f"{label}, in nats a token, from its beginning to its end"
    return element("figure", {}, drawing, element("figcaption", {}, caption))


def worst(reading: Reading) -> Html:
    """Return the tokens at which teacher and student differ most, in their context."""
    if not reading.worst:
        return Html("")
    rows = [
        element(
            "tr",
            {},
            element("td", {}, f"{token.kl:.2f}"),
            element("td", {}, f"{token.student_log_prob:.2f}"),
            element("td", {}, f"{token.teacher_log_prob:.2f}"),
            element(
                "td",
                {"class": "context"},
                token.before,
                element("mark", {}, token.token or "end of turn"),
                token.after,
            ),
        )
        for token in reading.worst
    ]
    names = ("KL", "student", "teacher", "the student's token in its context")
    head = element("tr", {}, *(element("th", {"scope": "col"}, name) for name in names))
    table = element(
        "table", {"class": "plain"}, element("thead", {}, head), element("tbody", {}, *rows)
    )
    scroll = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "worst tokens"}
    note = "Where they differ most; log-probabilities of the token in nats."
    return join([element("p", {"class": "note"}, note), element("div", scroll, table)])
