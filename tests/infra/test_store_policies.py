"""Who may do what in the bucket, asked of the policies on the store's own layout."""

import fnmatch
import json

import pytest
from manifests import INFRA


def allowed(policy, key, action, **context):
    """Return whether a statement of the policy allows an action on an object."""
    for statement in policy["Statement"]:
        actions, places = (
            [value] if isinstance(value, str) else value
            for value in (statement["Action"], statement["Resource"])
        )
        conditions = [
            str(context.get(name)).lower() == value
            for test in statement.get("Condition", {}).values()
            for name, value in test.items()
        ]
        where = f"arn:aws:s3:::STORE_BUCKET/production/{key}"
        if (
            action in actions
            and any(fnmatch.fnmatch(where, place) for place in places)
            and all(conditions)
        ):
            return True
    return False


# "Null: false" on s3:if-none-match means that the header is there.
ONCE = {"s3:if-none-match": "false"}


@pytest.mark.parametrize("key", ["blobs/ab/cd", "keys/registry/teacher.math/1"])
def test_a_team_creates_what_is_not_there_and_replaces_and_deletes_nothing(key):
    policy = json.loads((INFRA / "store" / "team-policy.json").read_text())
    assert allowed(policy, key, "s3:GetObject")
    assert allowed(policy, key, "s3:PutObject", **ONCE)
    assert not allowed(policy, key, "s3:PutObject")
    assert not allowed(policy, key, "s3:DeleteObject")


def test_only_the_collector_of_garbage_deletes_blobs_and_nobody_deletes_keys():
    policy = json.loads((INFRA / "store" / "janitor-policy.json").read_text())
    assert allowed(policy, "blobs/ab/cd", "s3:DeleteObject")
    assert not allowed(policy, "keys/registry/teacher.math/1", "s3:DeleteObject")
