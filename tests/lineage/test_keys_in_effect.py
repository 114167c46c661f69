"""A statement counts while its key is in effect, and later where a new key endorsed it."""

import pytest

from lineage.errors import NotEntitledError
from lineage.operations.adoption import endorse
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry
from lineage.trust.journal import Journal
from tests.lineage.test_entitlement import forge, register, shared
from tests.support.making import TIME, write_record
from tests.support.teams import NEW_KEYS, root

__all__ = ["shared"]


def test_statements_of_a_revoked_key_count_only_after_a_new_key_endorses_them(shared):
    made = write_record(shared.math, b"good")
    register(shared.math, "teacher.math", made)
    shared.publish(root(math_team={"revoked": TIME, "reason": "laptop lost"}))
    with pytest.raises(NotEntitledError):
        Registry(shared.consolidation).resolve("teacher.math@1")
    with pytest.raises(NotEntitledError):
        write_record(shared.math, b"thief")
    renewed = shared.of("math-team", NEW_KEYS["math-team"])
    endorse(renewed, "looked at every one")
    assert Registry(shared.consolidation).resolve("teacher.math@1").digest == made[1]
    assert Records(renewed).finished(made[0]).output == made[1]


def test_a_rotated_key_cannot_write_back_in_time(shared):
    register(shared.math, "teacher.math", write_record(shared.math, b"good"))
    evil = write_record(shared.math, b"evil")
    [good] = Registry(shared.math).versions("teacher.math")
    shared.publish(root(math_team={"until": "2026-11-20T00:00:00+00:00"}))
    endorse(shared.of("math-team", NEW_KEYS["math-team"]), "rotation")
    assert Registry(shared.consolidation).resolve("teacher.math@1") == good
    slot = "registry/teacher.math/versions/00000002"
    previous = Journal(shared.math).slots("math-team", slot[:-9], Entry).all()[0].digest
    entry = good.model_copy(
        update={"version": 2, "digest": evil[1], "created": "2026-11-02T00:00:00+00:00"}
    )
    forge(shared.math, "math-team", slot, entry, project="math-team", previous=previous)
    with pytest.raises(NotEntitledError):
        Registry(shared.consolidation).resolve("teacher.math@2")


def test_what_was_endorsed_is_not_exchanged_with_the_old_key(shared):
    register(shared.math, "teacher.math", write_record(shared.math, b"good"))
    [good] = Registry(shared.math).versions("teacher.math")
    shared.publish(root(math_team={"revoked": TIME}))
    endorse(shared.of("math-team", NEW_KEYS["math-team"]), "looked at")
    slot = "registry/teacher.math/versions/00000001"
    (shared.folder / "keys/projects/math-team" / slot).unlink()
    changed = good.model_copy(update={"note": "rewritten"})
    forge(shared.math, "math-team", slot, changed, project="math-team")
    with pytest.raises(NotEntitledError):
        Registry(shared.consolidation).resolve("teacher.math@1")
