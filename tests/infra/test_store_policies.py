"""Who may do what in the bucket, asked of the policies as AWS evaluates them."""

import json

import pytest

from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from lineage.trust.journal import Journal
from tests.support.making import write_record
from tests.support.policies import Request, allowed, read_policy
from tests.support.role_table import ACTIONS, PAGE, PLACES, POLICIES, ROLES, may, page_with, table

WRITES = set(ACTIONS) - {"read"}
CREATIONS = {"create", "send parts"}


def permitted(role, place):
    return {action for action in ACTIONS if may(role, PLACES[place], action)}


def test_the_page_holds_the_table_that_the_policies_make():
    assert page_with(table()) == PAGE.read_text("utf-8")


def test_every_role_reads_everything():
    assert all(may(role, key, "read") for role in ROLES for key in PLACES.values())


def test_an_auditor_writes_nothing():
    assert not any(may("auditor", key, action) for key in PLACES.values() for action in WRITES)


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("team math", "`keys/projects/teacher-math/`"),
        ("consolidation", "`keys/projects/consolidation/`"),
    ],
)
def test_a_project_writes_below_its_own_prefix_alone_and_once(role, own):
    assert permitted(role, own) == {"read", "create"}
    assert permitted(role, "`blobs/`") == {"read", "create", "send parts"}
    assert permitted(role, "`probe/`") == {"read", "create", "send parts"}
    assert permitted(role, "`touched/`") & {"delete", "delete versions"} == set()
    others = set(PLACES) - {own, "`blobs/`", "`probe/`", "`touched/`"}
    assert len(others) == len(PLACES) - 4
    for place in others:
        assert permitted(role, place) == {"read"}, place


def test_only_a_maintainer_deletes_and_never_a_statement():
    deletions = {"delete", "delete versions", "give up uploads"}
    for role in ROLES:
        for place in PLACES:
            if permitted(role, place) & deletions:
                assert role == "maintainer"
                assert "keys/" not in place
                assert "development" not in place
    assert "delete" in permitted("maintainer", "`touched/`")
    assert permitted("maintainer", "`keys/trust/`") == {"read", "create"}


def test_a_statement_cannot_be_replaced_or_deleted_even_with_all_rights():
    everything = {
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}]
    }
    bucket = json.loads((POLICIES / "bucket-policy.json").read_text().replace("STORE_BUCKET", "b"))
    for place in (PLACES["`keys/trust/`"], PLACES["other `keys/`"]):
        for action, (name, context) in ACTIONS.items():
            request = Request(name, f"arn:aws:s3:::b/{place}", context)
            assert allowed([everything], request)
            assert allowed([everything, bucket], request) == (
                action in {"read", "create"} or (action == "give up uploads")
            )


def test_a_name_that_begins_like_a_project_is_another_project():
    assert not may("team math", "production/keys/projects/teacher-math2/r/1", "create")
    assert not may("team math", "production/keys/projects/teacher-math", "create")


def test_all_that_a_run_writes_into_slots_its_project_s_role_may_create(tmp_path):
    store = FolderStore(tmp_path / "store")
    write_record(store, b"made", metrics=[(1, "loss", 0.5, "sft")])
    registry = Registry(store)
    release = Artifact(kind="release", digest=store.put_bytes(b"release"))
    version = registry.register("teacher.math", release, owner="math").version
    registry.point("teacher.math", "released", version, by="ann")
    registry.recall("teacher.math", version, by="ann", reason="leaked test set")
    names = {
        "STORE_BUCKET": "store",
        "DOMAIN": "production",
        "PROJECT": Journal(store).author.project,
    }
    bucket = read_policy(POLICIES / "bucket-policy.json", names)
    name, context = ACTIONS["create"]
    keys = store.keys("")
    assert len(keys) >= 5
    for key in keys:
        whose = "maintainer" if key.startswith("trust/") else "writer"
        policy = read_policy(POLICIES / f"{whose}-policy.json", names)
        request = Request(name, f"arn:aws:s3:::store/production/keys/{key}", context)
        assert allowed([policy, bucket], request), key


def statement(**more):
    return {"Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "a/?/*", **more}]}


@pytest.mark.parametrize(
    ("policy", "context", "expected"),
    [
        (statement(), {}, True),
        (statement(Resource="a/??/*"), {}, False),
        (statement(Action=["s3:PutObject", "S3:getobject"]), {}, True),
        (statement(Condition={"Null": {"k": "true"}}), {}, True),
        (statement(Condition={"Null": {"k": "true"}}), {"K": "x"}, False),
        (statement(Condition={"Null": {"k": "false"}}), {"k": "x"}, True),
        (statement(Condition={"Bool": {"k": "false"}}), {"k": "false"}, True),
        (statement(Condition={"Bool": {"k": "false"}}), {}, False),
        (
            statement(Condition={"Bool": {"k": "true"}, "Null": {"l": "false"}}),
            {"k": "true"},
            False,
        ),
    ],
)
def test_the_evaluator_knows_patterns_and_conditions(policy, context, expected):
    assert allowed([policy], Request("s3:GetObject", "a/b/c/d", context)) is expected


def test_a_denial_wins_and_a_condition_that_fails_denies_nothing():
    deny = statement(Effect="Deny")
    unless = statement(Effect="Deny", Condition={"Bool": {"k": "true"}})
    request = Request("s3:GetObject", "a/b/c")
    assert not allowed([statement(), deny], request)
    assert allowed([statement(), unless], request)
    assert not allowed([unless], request)


@pytest.mark.parametrize(
    "more",
    [
        {"NotAction": "s3:PutObject"},
        {"Principal": {"AWS": "*"}},
        {"Condition": {"StringLike": {"k": "*"}}},
        {"Effect": "Maybe"},
    ],
)
def test_what_the_evaluator_does_not_know_it_refuses(more):
    with pytest.raises(ValueError, match=r"not evaluated|unknown"):
        allowed([statement(**more)], Request("s3:GetObject", "a/b/c"))


def test_what_a_team_may_not_delete_the_bucket_s_lifecycle_removes():
    rules = json.loads((POLICIES / "lifecycle.json").read_text())["Rules"]
    expired = {rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule}
    assert expired == {f"{domain}/probe/" for domain in ("development", "staging", "production")}
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert all(rule["Status"] == "Enabled" for rule in rules)
