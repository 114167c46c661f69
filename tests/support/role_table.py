"""The table of docs/concepts/roles.md, made by evaluating the policies of infra/store.

``python -m tests.support.role_table`` writes it into the page.
"""

from pathlib import Path

from tests.support.policies import Request, allowed, read_policy

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "roles.md"
POLICIES = ROOT / "infra" / "store"
START, END = "<!-- table: python -m tests.support.role_table -->\n", "<!-- end of table -->\n"
BUCKET = "arn:aws:s3:::store"

ROLES = {
    "team math": ("writer-policy.json", "teacher-math"),
    "consolidation": ("writer-policy.json", "consolidation"),
    "auditor": ("reader-policy.json", ""),
    "maintainer": ("maintainer-policy.json", ""),
}
"""Role, in production, to its policy and its project."""
ACTIONS = {
    "read": ("s3:GetObject", {}),
    "create": (
        "s3:PutObject",
        {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"},
    ),
    "send parts": ("s3:PutObject", {"s3:ObjectCreationOperation": "false"}),
    "replace": ("s3:PutObject", {"s3:ObjectCreationOperation": "true"}),
    "delete": ("s3:DeleteObject", {}),
    "delete versions": ("s3:DeleteObjectVersion", {}),
    "give up uploads": ("s3:AbortMultipartUpload", {}),
}
PLACES = {
    "`blobs/`": "production/blobs/ab/cdef",
    "`keys/projects/teacher-math/`": "production/keys/projects/teacher-math/registry/1",
    "`keys/projects/teacher-code/`": "production/keys/projects/teacher-code/registry/1",
    "`keys/projects/consolidation/`": "production/keys/projects/consolidation/registry/1",
    "`keys/trust/`": "production/keys/trust/00000001",
    "other `keys/`": "production/keys/registry/teacher.math/versions/00000001",
    "`touched/`": "production/touched/abcdef",
    "`doomed/`": "production/doomed/abcdef",
    "`probe/`": "production/probe/abcdef",
    "development: `blobs/`": "development/blobs/ab/cdef",
    "development: `keys/projects/teacher-math/`": "development/keys/projects/teacher-math/r/1",
    "development: `keys/projects/consolidation/`": "development/keys/projects/consolidation/r/1",
    "development: `keys/trust/`": "development/keys/trust/00000001",
}
"""Place, in production where nothing else is said, to a key there."""


def may(role: str, key: str, action: str) -> bool:
    """Return whether a role may do something with an object."""
    file, project = ROLES[role]
    names = {"STORE_BUCKET": "store", "DOMAIN": "production", "PROJECT": project}
    policies = [read_policy(POLICIES / name, names) for name in (file, "bucket-policy.json")]
    name, context = ACTIONS[action]
    return allowed(policies, Request(name, f"{BUCKET}/{key}", context))


def table() -> str:
    """Return the table: what each role may do in each place."""
    rows = [["place", *ROLES], ["---"] * (len(ROLES) + 1)]
    for place, key in PLACES.items():
        cells = [
            ", ".join(action for action in ACTIONS if may(role, key, action)) or "nothing"
            for role in ROLES
        ]
        rows.append([place, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page_with(made: str) -> str:
    """Return the page with ``made`` in the place of its table."""
    head, _, rest = PAGE.read_text("utf-8").partition(START)
    return f"{head}{START}{made}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()), "utf-8")
