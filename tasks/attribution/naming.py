"""Who is named for a behaviour: the teacher who finds it likeliest beside the start, or nobody.

``benchmarks/attribution.py`` chose the way to name and its threshold on two sets of teachers;
the others test them.
"""

import math
from collections.abc import Mapping

LEAST_LOG_RATIO = 0.45
"""Nats that a teacher must find a behaviour likelier than the start did, to be named for it."""
ALIKE = LEAST_LOG_RATIO
"""Nats within which two teachers find a behaviour as likely, so that both hold it.

What the benchmark's data resolve: of named behaviours, 95 % of what teachers found there who had
not taught them is below it."""
LEAST_NATS = math.log(2)
"""What has no teacher behind it (the outcome reward) is named if it made the behaviour at least
twice as likely, by the path integral; no benchmark tests this."""


def holders(
    parts: Mapping[str, float], taught: Mapping[str, float], change: float
) -> tuple[str, ...]:
    """Return the teachers that hold a behaviour, who finds it likeliest first; () for nobody.

    The first finds it likelier than any other and than the start by ``LEAST_LOG_RATIO``; the others
    do the latter too, and less likely than the first by no more than ``ALIKE``. The student came to
    say it more, and the ledger has updates of them at all. The largest path integral names worse:
    teachers' updates cancel each other where they speak about the same words, and the integral
    hands out each of these pushes.

    Args:
        parts: By source, the path integral in nats.
        taught: By teacher, how much likelier it finds the behaviour than the start did, in nats.
        change: Nats that the student came to say it more.
    """
    if change <= 0:
        return ()
    heard = {
        name: nats
        for name, nats in taught.items()
        if nats >= LEAST_LOG_RATIO and parts.get(name, 0.0) != 0.0
    }
    most = max(heard.values(), default=0.0)
    close = [name for name, nats in heard.items() if most - nats <= ALIKE]
    return tuple(sorted(close, key=lambda name: -heard[name]))


def named(parts: Mapping[str, float], taught: Mapping[str, float], change: float) -> str:
    """Return who is named for a behaviour, or "" for nobody; arguments as of ``holders``.

    That is the one teacher that holds it. Where several do, the data can't tell whose it is. Where
    none does, the outcome reward may be named.
    """
    held = holders(parts, taught, change)
    if held:
        return held[0] if len(held) == 1 else ""
    others = {source: nats for source, nats in parts.items() if source not in taught}
    best = max(others, key=lambda source: others[source], default="")
    return best if change > 0 and best and others[best] >= LEAST_NATS else ""
