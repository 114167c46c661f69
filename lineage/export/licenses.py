"""The license of a model: what its base, its teachers and their data allow together.

Identifiers are those of the Hugging Face Hub. The strictest license decides; where two cannot both
be kept, or one forbids what was made, nothing is exported.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lineage.declared import FOREIGN_TRACES
from lineage.errors import LicenseConflictError
from lineage.export.subject import NOT_RECORDED, NewestOutput, Subject, hub_id, is_brought

UNKNOWN = "other"
"""The Hub's id for a license that is not on its list."""
UNSTATED = "unknown"
"""Recorded as the license of a model that states none."""
_PERMISSIVE = (  # the later asks for more
    *("cc0-1.0", "unlicense", "wtfpl", "pddl", "bsl-1.0", "isc", "zlib", "mit", "postgresql"),
    *("ncsa", "afl-3.0", "ecl-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear"),
    *("cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "cc-by-2.0", "cc-by-2.5"),
    *("cc-by-3.0", "cc-by-4.0", "etalab-2.0", "ms-pl", "openmdw-1.0", "apache-2.0"),
)
_SHARE_ALIKE = (
    *("agpl-3.0", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "mpl-2.0"),
    *("epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "osl-3.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("odbl", "cdla-sharing-1.0", "gfdl"),
)
_NON_COMMERCIAL = (
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
)
_NO_DERIVATIVES = ("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0")
_TERMS_OF_THEIR_OWN = (
    *("openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m"),
    *("bigscience-bloom-rail-1.0", "bigcode-openrail-m", "llama2", "llama3", "llama3.1"),
    *("llama3.2", "llama3.3", "llama4", "gemma", "apple-amlr", "intel-research", "h-research"),
    *("fair-noncommercial-research-license", "deepfloyd-if-license", "grok2-community"),
)
KNOWN = {
    *_PERMISSIVE,
    *_SHARE_ALIKE,
    *_NON_COMMERCIAL,
    *_NO_DERIVATIVES,
    *_TERMS_OF_THEIR_OWN,
}

_IDENTIFIERS = """
AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 BSD-2-Clause BSD-3-Clause
BSD-3-Clause-Clear BSL-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0
CC-BY-NC-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0
CC-BY-ND-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0
CDLA-Sharing-1.0 ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 GPL-2.0 GPL-2.0-only GPL-2.0-or-later
GPL-3.0 GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1 LGPL-3.0 MIT MPL-2.0 MS-PL NCSA ODC-By-1.0
ODbL-1.0 OSL-3.0 PDDL-1.0 PostgreSQL Unlicense WTFPL Zlib etalab-2.0
"""
SPDX = {name.lower(): name for name in _IDENTIFIERS.split()}
"""SPDX identifiers by their lowercase form."""


@dataclass(frozen=True)
class LicensedPart:
    """Something that the model was made from, with the license that was stated for it."""

    what: str
    stated: str
    """License as its owner wrote it; "" if none is recorded."""

    @property
    def id(self) -> str:
        """The Hub's identifier, or the stated words where the Hub has none."""
        plain = self.stated.strip().lower()
        for ending in ("-only", "-or-later"):
            plain = plain.removesuffix(ending)
        return plain


@dataclass(frozen=True)
class License:
    """The license under which a model may be published."""

    id: str
    """Value of the card's ``license``."""
    name: str
    """Value of the card's ``license_name``; "" if the id is enough."""
    parts: tuple[LicensedPart, ...]


def license_of(subject: Subject) -> License:
    """Return the license of a subject, resolved over its parts. See ``resolve``."""
    return resolve(tuple(dict.fromkeys(_parts(subject))))


def resolve(parts: Sequence[LicensedPart]) -> License:
    """Return the license that keeps those of all parts.

    Raises:
        LicenseConflictError: where a part may not be changed, or two demand different things.
    """
    stated = [part for part in parts if part.stated]
    _refuse(stated, _NO_DERIVATIVES, "forbids that changed versions are passed on")
    if not parts or len(stated) < len(parts):
        return License(UNKNOWN, NOT_RECORDED.replace(" ", "-"), tuple(parts))
    own = sorted({part.id for part in stated if part.id not in KNOWN - {*_TERMS_OF_THEIR_OWN}})
    alike = sorted({part.id for part in stated if part.id in _SHARE_ALIKE})
    closed = [name for name in _NON_COMMERCIAL if name in {part.id for part in stated}]
    if len(alike) > 1 or (alike and (closed or own)):
        _conflict(stated, (*alike, *closed, *own), "ask for terms that cannot all be kept")
    if own and (closed or len(own) > 1):
        return License(UNKNOWN, "-and-".join(map(_slug, (*own, *closed))), tuple(parts))
    if own:
        known = own[0] in KNOWN
        return License(own[0] if known else UNKNOWN, "" if known else _slug(own[0]), tuple(parts))
    ranked = [name for name in _PERMISSIVE if name in {part.id for part in stated}]
    return License([*ranked, *alike, *closed][-1], "", tuple(parts))


def _parts(subject: Subject) -> Iterable[LicensedPart]:
    # One that was trained from scratch has the license of its data. Bases of models that wrote
    # what this one learned from count too: some licenses say so.
    for base in filter(is_brought, subject.bases):
        yield LicensedPart(f"base {hub_id(base) or base.attestation.output[7:19]}", _noted(base))
    releases = [named.release for named in subject.releases]
    covered = {each.sft.data.digest: each.license for each in releases if each.sft}
    for item in subject.family:
        yield from _data(item, covered)
    yield from _teachers(subject)


def _data(item: NewestOutput, covered: Mapping[str, str]) -> Iterable[LicensedPart]:
    """Yield the data that a record made, and those that it took as they were."""
    if item.derivation.kind == "demonstrations":
        domain = item.derivation.settings.get("domain") or item.attestation.output[7:19]
        yield LicensedPart(
            f"demonstrations of {domain}", _noted(item) or covered.get(item.attestation.output, "")
        )
    if item.derivation.kind == FOREIGN_TRACES:
        yield LicensedPart(
            f"answers of a closed model {item.attestation.output[7:19]}", _noted(item)
        )
    for used in item.derivation.inputs:
        if used.role == "data" and not used.record:
            yield LicensedPart(f"data {used.artifact[7:19]}", covered.get(used.artifact, ""))


def _teachers(subject: Subject) -> Iterable[LicensedPart]:
    readable = {named.digest for named in subject.releases}
    for item in subject.family:
        output = item.attestation.output
        if item.attestation.output_kind == "release" and output not in readable:
            yield LicensedPart(f"release {output[7:19]}", "")
    for named in subject.releases:
        yield LicensedPart(named.name, named.release.license)


def _slug(text: str) -> str:
    """Return a license's name as the Hub writes names: small letters, digits, and hyphens."""
    return re.sub(r"[^a-z0-9.+]+", "-", text).strip("-") or "unnamed"


def _noted(item: NewestOutput) -> str:
    noted = str(item.attestation.notes.get("license") or "")
    return "" if noted == UNSTATED else noted


def _refuse(stated: Sequence[LicensedPart], licenses: Sequence[str], why: str) -> None:
    if any(part.id in licenses for part in stated):
        _conflict(stated, licenses, why)


def _conflict(stated: Sequence[LicensedPart], licenses: Sequence[str], why: str) -> None:
    found = ", ".join(f"{part.what} ({part.stated})" for part in stated if part.id in licenses)
    raise LicenseConflictError(
        f"this model cannot be distributed: {found} {why}. Agree on a license with the owners "
        "and have them release it again, or make the model without that part"
    )
