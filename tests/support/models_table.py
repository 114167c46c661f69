"""Writes the tables of ``docs/concepts/models.md`` from what each family and template does.

``python -m tests.support.models_table`` renews the page; a test compares it.
"""

import re
from pathlib import Path

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import attention_for
from tasks.model.chat import ChatTokens
from tasks.model.training_templates import replace_template
from tasks.rollout.sampling.transformers.verified import Way, way_of
from tests.support.templates import names, tokenizer_of
from tests.support.zoo import FAMILIES, MUST_RUN, tiny

PAGE = Path(__file__).parents[2] / "docs/concepts/models.md"
_READING = {
    Way.COLUMNS: "cache in columns",
    Way.PADDED: "cache of transformers",
    Way.WHOLE: "no cache",
}
_USER, _SYSTEM = ({"role": role, "content": role} for role in ("user", "system"))


def families() -> str:
    """Return the table of families."""
    rows = ["| family | attention | sampling on a CPU | end-to-end test |", "|---|---|---|---|"]
    for family in FAMILIES:
        model = tiny(family)
        reading, tried = _READING[way_of(model, 24)], "yes" if family in MUST_RUN else ""
        rows.append(f"| {family} | {attention_for(model.config)} | {reading} | {tried} |")
    return "\n".join(rows)


def templates() -> str:
    """Return the table of templates; those that do the same share a row."""
    rows = [
        "| templates | system prompt | several turns | thinking | effort | date | replaced by |",
        "|---|---|---|---|---|---|---|",
    ]
    alike: dict[str, list[str]] = {}
    for name in names():
        alike.setdefault(_behavior(name), []).append(name)
    return "\n".join(
        [*rows, *(f"| {', '.join(same)} | {cells} |" for cells, same in alike.items())]
    )


def _behavior(name: str) -> str:
    """Return what a template does, as the cells of its row."""
    tokenizer = tokenizer_of(name)
    try:
        chat = ChatTokens(tokenizer)
    except RefusedError as error:
        return f"`{error.code}` | `{error.code}` | | | |"
    cells = [
        _outcome(chat.prompt, [_SYSTEM, _USER]),
        _outcome(chat.refuse_without_tools),
        "yes" if _outcome(chat.prompt, [_USER], "off") == "yes" else "",
        "yes" if _outcome(chat.prompt, [_USER], "low") == "yes" else "",
        "fixed" if chat.prompt_date else "",
        replace_template(tokenizer),
    ]
    return " | ".join(cells)


def page() -> str:
    """Return the page with present tables, each at its one place."""
    text = PAGE.read_text("utf-8")
    for name, table in (("families", families()), ("templates", templates())):
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        text, places = re.subn(
            pattern, lambda m, new=table: m[1] + new + m[2], text, flags=re.DOTALL
        )
        if places != 1:
            raise ValueError(f"{PAGE.name} has {places} places for the table of {name}, not one")
    return text


def _outcome(check, *given) -> str:
    try:
        check(*given)
    except RefusedError as error:
        return f"`{error.code}`"
    return "yes"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
