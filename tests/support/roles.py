"""What a project's role may do to a key of the store, by the policies of ``infra/store``."""

from functools import cache
from pathlib import Path

from tests.support.policies import Request, allowed, read_policy

POLICIES = Path(__file__).parents[2] / "infra" / "store"
ACTIONS = {
    "create": ("s3:PutObject", {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}),
    "overwrite": ("s3:PutObject", {"s3:ObjectCreationOperation": "true"}),
    "delete": ("s3:DeleteObject", {}),
}


@cache
def may(project: str, act: str, key: str) -> bool:
    """Return whether a project's writer may create, overwrite or delete an object."""
    names = {"STORE_BUCKET": "store", "DOMAIN": "production", "PROJECT": project}
    files = ("writer-policy.json", "bucket-policy.json")
    policies = [read_policy(POLICIES / name, names) for name in files]
    action, context = ACTIONS[act]
    return allowed(policies, Request(action, f"arn:aws:s3:::store/production/{key}", context))
