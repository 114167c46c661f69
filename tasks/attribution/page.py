"""The audit as one self-contained HTML page without a script."""

import shlex

from tasks.attribution.document import Audit
from tasks.attribution.estimators import FIRST_ORDER
from tasks.attribution.naming import LEAST_LOG_RATIO
from tasks.attribution.page_shares import (
    absence,
    bars,
    colours,
    crossings,
    domain_groups,
    source_names,
    ways,
)
from tasks.attribution.page_tokens import behaviours, course
from tasks.attribution.reliability import reliability
from tasks.attribution.verdict import nats
from tasks.reports.rendering import render as render_template


def render(audit: Audit) -> str:
    """Return the whole page. The same audit gives the same text."""
    shown = behaviours(audit)
    return render_template(
        "audit.html.j2",
        title=f"Audit of {audit.student}",
        audit=audit,
        sections=_sections(audit),
        sources=source_names(audit),
        colours=colours(audit),
        bars=bars(audit),
        behaviours=shown,
        num_hidden=audit.count - len(shown),
        course=course(audit),
        groups=domain_groups(audit),
        crossings=crossings(audit),
        least_log_ratio=LEAST_LOG_RATIO,
        ways=ways(audit),
        first_order=FIRST_ORDER,
        guess=f"{reliability().rank_correlation.first_order:.2f}",
        retrain=f"{reliability().rank_correlation.retrain:.2f}",
        absence=None if audit.verification is None else absence(audit, audit.verification),
        recorded=[
            (source, shlex.join(["provost", "lineage", "show", source.record]))
            for source in audit.sources
            if source.record
        ],
        begun=nats(audit.begun),
        ended=nats(audit.ended),
    )


def _sections(audit: Audit) -> list[tuple[str, str]]:
    """Return name and title of each section on the page, in order."""
    sections = {
        "sources": "Sources",
        "responses": "Tokens",
        "course": "Training",
        "domains": "Domains" if any(group.domain for group in audit.groups) else "",
        "ways": "Other ways",
        "absence": "" if audit.verification is None else "Absence",
        "rollouts": "Rollouts",
        "ask": "Whom to ask",
        "carried": "Approvals",
        "limits": "Not tested",
        "inputs": "Inputs",
    }
    if len(audit.groups) > 1:  # then what crossed a domain is what the verdict is about
        sections = {"domains": sections["domains"], **sections}
    return [(name, title) for name, title in sections.items() if title]
