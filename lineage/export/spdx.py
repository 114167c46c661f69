"""SPDX identifiers of the licenses that models and data mostly have."""

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
