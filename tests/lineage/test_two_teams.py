"""Whatever team A does with its own key and its own rights, B and the consolidation see the same.

A hypothesis state machine: A writes whatever its role allows anywhere it may, raw bytes and valid
statements alike. After each act, all that B and the consolidation read is what it was without A.
"""

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lineage.artifacts import Artifact
from lineage.digest import digest_bytes, hex_of
from lineage.errors import DamagedError, LineageError
from lineage.graph.graph import Lineage
from lineage.operations.adoption import endorse
from lineage.operations.gc import find_garbage
from lineage.operations.recall import recall
from lineage.records.record import Attestation, Derivation, Input, Records
from lineage.registry.registry import Registry
from lineage.registry.slots import Entry, Move
from lineage.store.s3_blobs import blob_key
from lineage.store.scratch import remove
from lineage.trust.statement import StatementPlace, make_statement
from tests.support.making import TIME
from tests.support.roles import may
from tests.support.teams import Shared
from tests.support.world import FORM, TOKENIZER, A, B, World

BODY = b"what B makes next"
NEXT = (digest_bytes(BODY), digest_bytes(b""), TOKENIZER)
"""Blobs that B puts later, or that anybody may put."""
KINDS = [
    *(("rl", "start"), ("launch", "plan"), ("approval", "plan"), ("failure", "plan")),
    *(("plan", "plan"), ("student", "plan"), ("waiver", "plan"), ("report", "student")),
]
"""Kinds of record that A attests of others' work, with the role in which they take it."""
BYTES = st.one_of(st.binary(max_size=64), st.sampled_from([b"", b"{}", b"[]", b"null", b"[" * 999]))


class TwoTeams(RuleBasedStateMachine):
    """A acts; B and the consolidation look."""

    victim = "teacher.math"
    """The name that B has released."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="two-teams-"))
        self.world = World(self.folder, self.share(self.folder / "shared"))
        self.shared = self.world.shared
        self.mine = self.shared.code
        self.acts = 0
        self.squatted = set()
        self.before = self.world.seen(self.folder / "before.db")

    def share(self, folder):
        """The store, at the start."""
        return Shared(folder)

    def teardown(self):
        remove(self.folder)

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def nothing_changed_for_others(self):
        assert self.world.seen(self.folder / "index.db") == self.before

    def attempt(self, act):
        """Do something that may be refused, by a sentence."""
        self.acts += 1
        with suppress(LineageError):
            act()

    def targets(self):
        """Everything of others that A knows by digest."""
        world = self.world
        return [
            *(world.fork, world.climbs["math"], world.releases["math"], world.student, world.plan)
        ]

    @rule(data=st.data(), content=BYTES, overwrite=st.booleans())
    def write_raw(self, data, content, overwrite):
        """Raw bytes at, or in place of, any key that the role may write."""
        known = [key for key in self.mine.keys("") if not key.startswith("trust/")]
        copied = data.draw(st.sampled_from(known))
        number = data.draw(st.integers(1, 4))
        places = [
            copied,
            copied.rpartition("/")[0] + f"/{number:08d}",
            copied.replace(f"projects/{B}/", f"projects/{A}/"),
            f"projects/{A}/registry/{self.victim}/versions/{number:08d}",
            f"projects/{A}/attestations/{hex_of(self.world.unmade.digest())}/{number:08d}",
            f"projects/{A}/states/{hex_of(self.world.unmade.digest())}/{number:08d}",
            f"registry/{self.victim}/versions/{number:08d}",
            f"attestations/{hex_of(self.world.climbs['math'][0])}/{'0' * 64}",
            f"projects/{A}/.DS_Store",
            f"projects/{A}/registry/teacher.code/events/00000001~",
            f"projects/{A}/registry/teacher.code/events/{number:08d}",
            f"projects/{A}/registry/teacher.code-evil/events/{number:08d}",
            "trust/00000002",
        ]
        key = data.draw(st.sampled_from(places))
        content = data.draw(st.sampled_from([content, self.mine.read_key(copied)]))
        self.shared.put_raw(A, f"keys/{key}", content, replace=overwrite)
        self.acts += 1

    @rule(data=st.data(), content=BYTES)
    def squat(self, data, content):
        """Other bytes where a blob will lie, or lies, that B needs."""
        known = [made[1] for made in self.targets()]
        digest = data.draw(st.sampled_from([self.world.unmade.digest(), *NEXT, *known]))
        self.shared.put_raw(A, blob_key(digest), content, replace=True)
        self.squatted.add(digest)
        self.acts += 1

    @rule(data=st.data())
    def remove_raw(self, data):
        """Removal of any key, where the role allows it."""
        key = data.draw(st.sampled_from(self.mine.keys("")))
        self.shared.remove_raw(A, f"keys/{key}")
        self.acts += 1

    @rule(data=st.data(), number=st.integers(1, 3), body=st.sampled_from(["entry", "said", "move"]))
    def sign_anything(self, data, number, body):
        """A well-formed statement of A's key at any place that the role may write."""
        made = data.draw(st.sampled_from(self.targets()))
        record = hex_of(data.draw(st.sampled_from([made[0], self.world.unmade.digest()])))
        name = data.draw(st.sampled_from([self.victim, "teacher.code", "fork-point", "base"]))
        bodies = {
            "entry": (
                f"registry/{name}/versions",
                Entry(
                    name=name, version=number, kind="release", digest=made[1], record=made[0],
                    owner="evil", created=TIME, note="",
                ),
            ),
            "said": (
                f"attestations/{record}",
                Attestation(
                    derivation=f"sha256:{record}", output=made[1], output_kind="checkpoint",
                    finished="9999-01-01T00:00:00+00:00",
                ),
            ),
            "move": (
                f"registry/{name}/aliases",
                Move(alias="released", version=number, by="evil", reason="", at=TIME),
            ),
        }  # fmt: skip
        path, said = bodies[body]
        project = data.draw(st.sampled_from([A, A, B, "foundation", "consolidation"]))
        trust = Records(self.mine).journal.trust
        place = StatementPlace(
            store=trust.store, project=project, path=path, number=number, at=TIME
        )
        if may(A, "create", f"keys/{place.key}"):
            self.mine.claim(place.key, make_statement(said, place, self.mine.signing_key))
        self.acts += 1

    @rule(data=st.data())
    def register_others_work(self, data):
        """Others' digests, with or without their records, under a name of A's own."""
        name = data.draw(st.sampled_from(["teacher.code", "teacher.code-evil", self.victim]))
        record, digest = data.draw(st.sampled_from(self.targets()))
        record = data.draw(st.sampled_from([record, ""]))
        artifact = Artifact(kind="release", digest=digest, record=record)
        self.attempt(lambda: Registry(self.mine).register(name, artifact, owner="evil"))

    @rule(data=st.data(), name=st.sampled_from(["teacher.code", "teacher.code-evil", "fork-point"]))
    def recall_retire_or_move(self, data, name):
        """All that can be done to a version, of A's own names and of others'."""
        registry = Registry(self.mine)
        version = data.draw(st.integers(1, 3))
        act = data.draw(st.sampled_from(["recall", "retire", "point"]))
        if act == "point":
            self.attempt(lambda: registry.point(name, "released", version, by="evil"))
        else:
            self.attempt(lambda: getattr(registry, act)(name, version, by="evil", reason="spite"))

    @rule(data=st.data(), content=BYTES)
    def attest(self, data, content):
        """A record of A's own that takes, or gives, what others made."""
        taken = data.draw(st.lists(st.sampled_from(self.targets()), max_size=2))
        kind, role = data.draw(st.sampled_from(KINDS))
        settings = data.draw(st.sampled_from([{}, FORM, {"decision": "approved"}]))
        output = data.draw(
            st.sampled_from([self.mine.put_bytes(content), *(made[1] for made in self.targets())])
        )
        inputs = tuple(Input(role=role, artifact=made[1], record=made[0]) for made in taken)
        project = data.draw(st.sampled_from(["", A, B]))
        derivation = Derivation(
            kind=kind, inputs=inputs, source=TOKENIZER, settings=settings, seed=1, project=project
        )
        said = Attestation(
            derivation=derivation.digest(), output=output, output_kind="checkpoint", finished=TIME
        )
        self.attempt(lambda: Records(self.mine).write(derivation, said))

    @rule()
    def foretell(self):
        """The derivation that B will make next, put before B does."""
        self.mine.put_bytes(self.world.unmade.to_bytes())
        self.acts += 1

    @rule()
    def endorse_everything(self):
        """A's word that all in its own place counts."""
        self.attempt(lambda: endorse(self.mine, "spite"))

    @precondition(lambda self: getattr(self, "acts", 0) % 7 == 6)
    @rule()
    def others_go_on_in_a_copy(self):
        """B's next release, a recall and a collection end as they would without A."""
        copy = World.__new__(World)
        copy.__dict__ |= self.world.__dict__
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "shared"
        copy.shared = self.shared.copied(folder)
        math, merge = copy.shared.of(B), copy.shared.of("consolidation")
        said = Attestation(
            derivation=self.world.unmade.digest(),
            output=math.put_bytes(BODY),
            output_kind="checkpoint",
            finished=TIME,
        )
        record = Records(math).write(self.world.unmade, said)
        assert Records(math).finished(record).output == said.output
        copy.register(math, "teacher.math", (record, said.output), "release")
        assert Registry(merge).resolve("math@latest").digest == said.output
        done = recall(math, Lineage(math, folder.parent / "copy.db"), "math@1", "lead", "leak")
        assert self.world.student[1] in {item.output for item in done.affected}
        with pytest.raises(LineageError):
            Registry(merge).resolve("math@released")
        garbage = {blob.digest for blob in self.garbage(merge).remove}
        assert not garbage & {made[1] for made in self.targets()}
        remove(folder.parent)
        self.acts += 1

    def garbage(self, store):
        """What can be removed; it stops for A's wrong bytes alone, and an operator goes on."""
        try:
            return find_garbage(store)
        except DamagedError as error:
            damaged = error.digests
        assert damaged <= self.squatted
        return find_garbage(store, give_up=damaged)


def run(examples: int, steps: int, machine: type[TwoTeams] = TwoTeams) -> None:
    """Let A act ``examples`` times ``steps`` times, each time in a new world."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.medium
def test_a_team_changes_nothing_for_another():
    run(examples=3, steps=12)


@pytest.mark.slow
def test_a_team_changes_nothing_for_another_in_a_thousand_acts():
    run(examples=25, steps=40)
