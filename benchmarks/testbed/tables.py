"""The tables of the testbed's page, made from the rows of its domains."""

from benchmarks.common.markdown import result, table

BED = ("add", "sort", "form", "tool", "helpful", "safe")
"""Domains of the testbed; the first two have modes."""


def testbed() -> str:
    """Return what the base of the recipes' testbed can do in each domain, before and after RL."""

    def row(domain: str) -> tuple[object, ...]:
        figures = result(f"testbed/{domain}")["figures"]
        base, climbed = figures["base"], figures.get("climbed")
        after = ["not measured", "", "", ""]
        if climbed:
            scores = [_with_limits(climbed[name]) for name in ("score", "pass_1")]
            after = [*scores, f"{climbed['tokens']:.0f}", f"{figures['seconds_per_step']:.1f}"]
        return (
            domain,
            *(_with_limits(base[name]) for name in ("score", "pass_1")),
            f"{base['pass_any']:.2f}",
            f"{base['tokens_of_passed'] or 0:.0f}",
            *after,
        )

    heads = ("domain", "score", "pass@1", "pass@16", "tokens of right answers")
    after = ("score after RL", "pass@1 after RL", "tokens", "seconds a step")
    return table((*heads, *after), map(row, BED))


def testbed_modes() -> str:
    """Return how far the modes are obeyed, and what thinking is worth, before and after RL."""
    rows = []
    for domain in BED[:2]:
        figures = result(f"testbed/{domain}")["figures"]
        for mode in ("on", "off"):
            both = [figures.get(when, {}).get(f"mode_{mode}") for when in ("base", "climbed")]
            names = ("pass_1", "obedient")
            cells = [f"{part[name]:.2f}" if part else "" for name in names for part in both]
            rows.append((domain, mode, *cells))
    heads = ("pass@1", "after RL", "obedient", "after RL")
    return table(("domain", "mode", *heads), rows)


def _with_limits(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"
