"""The page's tables of shares: by source, by probe set, by other ways of asking, by retrain."""

import statistics
from collections.abc import Mapping

from tasks.attribution.accuracy import GUESS, RETRAIN
from tasks.attribution.document import Audit, Estimate, GroupShare, Measured, Verdict
from tasks.attribution.estimators import BoundedTracIn, LogRatio
from tasks.attribution.naming import LEAST_LOG_RATIO, LEAST_NATS
from tasks.attribution.page_style import NUM_COLOURS
from tasks.attribution.verdict import held_by, nats, off_domain
from tasks.attribution.verdict import join as listed
from tasks.ledger.split_adamw import RESERVED
from tasks.page.document import section
from tasks.page.html import Html, element, join

NOTHING = "\N{EM DASH}"


def colour(audit: Audit, source: str) -> str:
    """Return the class that gives a source its colour; decay and rounding have none."""
    if source in RESERVED or source not in audit.shares:
        return "nobody"
    return f"s{list(audit.shares).index(source) % NUM_COLOURS}"


def key(audit: Audit) -> Html:
    """Return the names of the sources beside their colours."""
    names = [source for source in audit.shares if source not in RESERVED]
    return element(
        "ul", {"class": "key"}, *(element("li", {"class": colour(audit, n)}, n) for n in names)
    )


def scroll(name: str, table: Html) -> Html:
    """Return a table that scrolls by itself, by keyboard too, where the screen is too narrow."""
    attributes = {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": name}
    return element("div", attributes, table)


def sources_section(audit: Audit) -> Html:
    """Return a bar for each source, from what was there before to what the student says."""
    ends = [audit.begun, audit.ended, 0.0]
    for share in audit.shares.values():
        ends += [share.mean, share.low or 0.0, share.high or 0.0]
    low, high = min(ends), max(ends)
    rows = [_bar_row("start", audit.start, "there before", Estimate(mean=audit.begun), low, high)]
    for source in audit.sources:
        about = ", ".join(part for part in (source.reference, source.owner) if part)
        share = audit.shares[source.name]
        rows.append(_bar_row(colour(audit, source.name), source.name, about, share, low, high))
    rows.append(_bar_row("total", "the student", "says now", Estimate(mean=audit.ended), low, high))
    table = element("table", {"class": "bars"}, element("tbody", {}, *rows))
    note = (
        "Mean nats of log-probability (against a contrast: of log-odds) that each source's updates "
        "added. With what was there before they add up to what the student says; at most "
        f"{audit.residual:.2%} of the parts' sizes is missing for any behaviour. An allocation "
        "along training, not what a student without the source would say. Whiskers: 95 % over "
        "resampled behaviours."
    )
    return section("sources", "Through whose updates", note, table)


def _bar_row(kind: str, name: str, about: str, share: Estimate, low: float, high: float) -> Html:
    span = ""
    if share.low is not None and share.high is not None:
        span = f"{nats(share.low)} to {nats(share.high)}"
    return element(
        "tr",
        {"class": kind},
        element("th", {"scope": "row"}, name, element("small", {}, about)),
        element("td", {}, _bar(share, low, high)),
        element("td", {"class": "amount"}, nats(share.mean), element("small", {}, span)),
    )


def _bar(share: Estimate, low: float, high: float) -> Html:
    def place(value: float) -> float:
        return 100 * (value - low) / ((high - low) or 1.0)

    zero, end = place(0.0), place(share.mean)
    across = {"x1": f"{zero:.2f}%", "x2": f"{zero:.2f}%", "y1": "0", "y2": "100%"}
    box = {
        "x": f"{min(zero, end):.2f}%",
        "width": f"{abs(end - zero):.2f}%",
        "y": "22%",
        "height": "56%",
    }
    parts = [element("rect", box), element("line", {"class": "zero", **across})]
    if share.low is not None and share.high is not None:
        ends = {"x1": f"{place(share.low):.2f}%", "x2": f"{place(share.high):.2f}%"}
        whisker = {"class": "whisker", **ends, "y1": "50%", "y2": "50%"}
        parts.append(element("line", whisker))
    return element("svg", {"class": "bar", "aria-hidden": "true"}, *parts)


def groups_section(audit: Audit) -> Html:
    """Return probe sets against sources, with what is off its own domain marked."""
    groups = [group for group in audit.groups if group.domain]
    if not groups:
        return Html()
    sources = [source for source in audit.shares if source not in RESERVED]
    off = off_domain(groups, sources)
    head = [element("th", {"scope": "col"}, source) for source in sources]
    rows = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, group.domain, " ", _count(group)),
            *(_cell(group, source, is_off=(group, source) in off) for source in sources),
        )
        for group in groups
    ]
    table = element(
        "table",
        {"class": "matrix"},
        element("thead", {}, element("tr", {}, element("td", {"class": "none"}), *head)),
        element("tbody", {}, *rows),
    )
    drawn = [element("li", {}, f"{name}: {text}") for name, text in audit.drawn.items()]
    found = [element("li", {}, _finding(*each)) for each in off]
    found += [
        element("li", {}, f"{group.domain}: {listed(held)} hold it alike, so that none is named.")
        for group in groups
        for held in [held_by(group, sources)]
        if len(held) > 1
    ]
    said = element(
        "ul",
        {"class": "missing"},
        *(found or [element("li", {}, "Nothing off its own domain is shown.")]),
    )
    note = (
        "Mean nats that each source (column) added to the behaviours of each set (row). Outlined: "
        "the teacher of the set's own domain. Dashed: a teacher that shaped what was not its own: "
        f"it finds the set likelier than the start did by {LEAST_LOG_RATIO} nats or more, with an "
        "interval that leaves 0 out, and its updates pushed towards it."
    )
    lists = [said, *([element("ul", {"class": "missing"}, *drawn)] if drawn else [])]
    return section("domains", "Across domains", note, scroll("Across domains", table), *lists)


def _finding(group: GroupShare, source: str) -> str:
    whose = f"{group.owner} was asked for" if group.owner else "no teacher was asked about"
    finds = nats(group.taught.get(source, group.parts[source]).mean)
    return (
        f"{group.domain}: {source} finds {group.count} behaviours that {whose} {finds} nats "
        f"likelier than the start did, and added {nats(group.parts[source].mean)}."
    )


def _count(group: GroupShare) -> Html:
    return element("small", {}, f"{group.count}")


def _cell(group: GroupShare, source: str, *, is_off: bool) -> Html:
    share = group.parts[source]
    most = max(abs(each.mean) for each in group.parts.values()) or 1.0
    kind = "own" if source == group.owner else "off" if is_off else "other"
    small = ""
    if share.low is not None and share.high is not None:
        small = f"{nats(share.low)} to {nats(share.high)}"
    style = f"--value:{max(0.0, share.mean) / most:.3f}"
    return element(
        "td", {"class": kind, "style": style}, nats(share.mean), element("small", {}, small)
    )


def witnesses_section(audit: Audit) -> Html:
    """Return the other ways of asking beside the shares."""
    sources = [source for source in audit.shares if source not in RESERVED]
    shares = {source: audit.shares[source].mean for source in sources}
    most = max(shares, key=lambda source: shares[source])
    taught = {name: _mean_of(audit, name) for name in audit.behaviours[0].taught}
    own = most if shares[most] >= LEAST_NATS else "nobody"
    rows = [
        _witness_row(LogRatio.name, taught, _who(audit.verdict), "nats", sources),
        _witness_row("path integral (above)", shares, own, "nats", sources),
    ]
    rows += [
        _witness_row(each.name, each.parts, each.named or "nobody", each.unit, sources)
        for each in audit.witnesses
    ]
    note = (
        "The same question asked otherwise. The first names: how much likelier each teacher finds "
        "the behaviour than the start did; it knows nothing of the training but who took part. "
        f"{BoundedTracIn.name} is the first-order effect of each source where there is room for "
        "it, and of these the best guess at absence: its rank correlation with a retrain is "
        f"{GUESS:.2f}, where another seed's retrain has {RETRAIN:.2f}. Surgery takes a source's "
        "displacements out of the finished student and guesses worst. A rehearsal (provost surgery "
        "--rehearse) comes as near to a retrain as another seed. The owner of the domain is the "
        "guess to beat."
    )
    heads = ["way", *sources, "names", "unit"]
    return section("ways", "Other ways of asking", note, scroll("ways", plain(heads, rows)))


def _who(verdict: Verdict) -> str:
    return listed(verdict.holders) if verdict.holders else verdict.named or "nobody"


def _mean_of(audit: Audit, teacher: str) -> float:
    return statistics.fmean(item.taught[teacher] for item in audit.behaviours)


def _witness_row(
    name: str, parts: Mapping[str, float], named: str, unit: str, sources: list[str]
) -> list[str]:
    values = [nats(parts[source]) if source in parts else NOTHING for source in sources]
    return [name, *values, named, unit]


def counterfactual_section(audit: Audit) -> Html:
    """Return what retrains measured, beside allocation and surgery."""
    if audit.verification is None:
        return Html()
    found = audit.verification
    rows = [_measured_row(each, audit) for each in found.effects]
    floor = "one seed shows none" if found.noise is None else f"{found.noise:.2g} nats"
    note = (
        "The round was run again with teachers masked and all else the same: prompts, steps, "
        f"denominators, random numbers; seeds {', '.join(map(str, found.seeds))}. Noise floor "
        f"between seeds: {floor}. The unmasked retrain differs from the student by "
        f"{found.reproduction:.1g} nats. Intervals are over seeds (Student's t)."
    )
    heads = ["without", "their presence added", "by seed", "surgery said", "allocation said"]
    tables = [scroll("counterfactual", plain(heads, rows))]
    domains = list(found.effects[0].by_domain) if found.effects else []
    if len(domains) > 1:
        by_domain = [
            [", ".join(each.masked), *(nats(each.by_domain[name]) for name in domains)]
            for each in found.effects
        ]
        title = element("h3", {}, "On each set of behaviours, nats")
        tables += [title, scroll("absence by set", plain(["without", *domains], by_domain))]
    return section("absence", "Measured absence", note, *tables)


def _measured_row(each: Measured, audit: Audit) -> list[str]:
    effect = each.effect
    span = ""
    if effect.low is not None and effect.high is not None:
        span = f" ({nats(effect.low)} to {nats(effect.high)})"
    return [
        ", ".join(each.masked),
        f"{nats(effect.mean)}{span}",
        " ".join(nats(value) for value in each.per_seed.values()),
        NOTHING if each.surgery is None else nats(each.surgery),
        nats(sum(audit.shares[name].mean for name in each.masked if name in audit.shares)),
    ]


def plain(heads: list[str], rows: list[list[str]]) -> Html:
    """Return a plain table; each row's first cell is its heading."""
    body = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, first),
            *(element("td", {}, cell) for cell in rest),
        )
        for first, *rest in rows
    ]
    head = [element("th", {"scope": "col"}, name) for name in heads]
    return element(
        "table",
        {"class": "plain"},
        element("thead", {}, element("tr", {}, *head)),
        element("tbody", {}, join(body)),
    )
