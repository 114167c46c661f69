"""Rows of one table come from one state of what is measured: its digest is in each row."""

from collections.abc import Iterable


def one_digest(rows: Iterable[tuple[str, str]], what: str) -> str:
    """Return the digest that all rows have; "" for no rows.

    Args:
        rows: Name and digest of each row.
        what: What the digest is of, in the plural.

    Raises:
        SystemExit: for rows with different digests, naming some rows of each.
    """
    names: dict[str, list[str]] = {}
    for name, digest in rows:
        names.setdefault(digest, []).append(name)
    if len(names) > 1:
        listed = "; ".join(
            f"{digest[:19]}: {', '.join(own[:3])}{' ...' if len(own) > 3 else ''}"
            for digest, own in names.items()
        )
        raise SystemExit(
            f"rows of {len(names)} different {what} cannot be in one table ({listed}). Run all "
            f"rows at one commit, or move the rows of the other {what} away"
        )
    return next(iter(names), "")
