"""An organization in a store: teams that climb from the last student, and a student each round.

In each of 50 rounds every team trains ten checkpoints from the fork point and releases the last of
them; a student of 12 of these releases is the next fork point. So the ancestry is 50 rounds deep.

All statements are signed, by the product's own ``make_statement``, and lie in the slots where its
readers look for them. They are not written by ``Records.write`` and ``Registry.register``, which
read all ancestors, or all versions, of what they append to: minutes for 1,000 records. Nothing is
flushed to the disk, and a checkpoint is a blob of a few bytes instead of a folder of gigabytes.
"""

import random
from dataclasses import dataclass, field

import lineage.store.blobs
import lineage.store.store
from lineage.artifacts import (
    Artifact,
    Prompts,
    Release,
    Rung,
    Sampling,
    SftData,
    Student,
    TeacherShare,
)
from lineage.digest import canonical_json, digest_bytes, hex_of
from lineage.dsse import SigningKey
from lineage.records.record import ATTESTATIONS, Attestation, Derivation, Input
from lineage.registry.names import RELEASED, TEACHER
from lineage.registry.slots import Entry, Move
from lineage.store.store import FolderStore
from lineage.trust.author import key_at_hand
from lineage.trust.chain import publish
from lineage.trust.root import Team, TrustedKey, TrustRoot
from lineage.trust.statement import Stated, StatementPlace, make_statement

TEAMS, ROUNDS, RUNGS, MERGED = 200, 50, 10, 12
SEED = 0
TIME = "2026-11-21T00:00:00+00:00"
CONSOLIDATION = "consolidation"
STUDENTS = "student.general"
_DIGEST = digest_bytes(b"of no file")


def teams_at(share: float) -> int:
    """Return how many teams a share of the organization has."""
    return max(1, round(share * TEAMS))


def _owner(number: int) -> str:
    return f"team-{number:03d}"


def team_name(number: int) -> str:
    """Return the registered name of a team's teacher."""
    return TEACHER + _owner(number)


@dataclass
class Organization:
    """Writes an organization into an empty store."""

    store: FolderStore
    teams: int
    checkpoints: int = 0
    releases: int = 0
    records: int = 0
    keys: dict[str, SigningKey] = field(init=False)
    """Key of each team; the one at hand is the consolidation's."""
    _previous: dict[str, str] = field(default_factory=dict)
    """Digest of the last slot of each path."""

    def __post_init__(self) -> None:
        """Make the trust root, and let no write wait for the disk."""
        for module in (lineage.store.blobs, lineage.store.store):
            for name in ("flush", "flush_folder"):
                setattr(module, name, lambda _: None)
        self._chance = random.Random(SEED)
        owned: dict[str, tuple[str, ...]] = {CONSOLIDATION: ("student.*", "fork-point", "base")}
        owned |= {_owner(number): (team_name(number),) for number in range(self.teams)}
        self.keys = {team: SigningKey.generate() for team in owned}
        self.keys[CONSOLIDATION] = key = key_at_hand()
        teams = {
            team: Team(names=names, keys=(TrustedKey(public=self.keys[team].public, since=TIME),))
            for team, names in owned.items()
        }
        root = publish(self.store, TrustRoot(maintainers=(key.public,), teams=teams), key)
        self._identity = root.store

    def make(self) -> None:
        """Write all rounds."""
        base = self._record("base", (), "checkpoint")
        fork = self._record("sft", (_input("start", base),), "checkpoint")
        self._register(CONSOLIDATION, "fork-point", 1, fork)
        parts = [self._parts(number) for number in range(self.teams)]
        for number in range(1, ROUNDS + 1):
            released = [self._climb(team, number, fork, parts[team]) for team in range(self.teams)]
            fork = self._merge(number, fork, released)

    def _parts(self, team: int) -> dict[str, Artifact]:
        """Return what all releases of a team share: its data, environment and measurements."""
        kinds = {"environment": "environment", "scorecard": "scorecard"}
        names = ("environment", "scorecard", "train", "validation", "evaluation", "demonstrations")
        return {
            name: self._record(name, (), kinds.get(name, "dataset"), owner=_owner(team))
            for name in names
        }

    def _climb(
        self, team: int, number: int, fork: Artifact, parts: dict[str, Artifact]
    ) -> Artifact:
        """Train ten checkpoints one after the other, and release the last."""
        owner, rungs = _owner(team), [fork]
        for step in range(1, RUNGS + 1):
            start = _input("start", rungs[-1])
            settings: dict[str, str | int] = {"domain": owner, "stop_at": step}
            rungs.append(self._record("rl", (start,), "checkpoint", b"", owner, **settings))
        manifest = _release(owner, fork, rungs[1:], parts)
        data = canonical_json(manifest.model_dump(mode="json"))
        inputs = (*_inputs(manifest.artifacts()), _input("sketches", parts["demonstrations"]))
        released = self._record("release", inputs, "release", data, owner=owner)
        self._register(owner, team_name(team), number, released)
        self.releases += 1
        return released

    def _merge(self, number: int, fork: Artifact, released: list[Artifact]) -> Artifact:
        """Merge some of a round's releases into a student, publish it, and return its weights."""
        merged = self._chance.sample(released, min(MERGED, len(released)))
        inputs = tuple(
            _input("teacher", release, name=f"t{place}", weight=1 / len(merged))
            for place, release in enumerate(merged)
        )
        weights = self._record("mopd", (_input("start", fork), *inputs), "checkpoint")
        card = self._record("scorecard", (_input("checkpoint", weights),), "scorecard")
        shares = tuple(
            TeacherShare(
                domain=f"t{place}",
                release=release.digest,
                reference=f"t{place}",
                weight=1 / len(merged),
            )
            for place, release in enumerate(merged)
        )
        student = Student(
            checkpoint=weights,
            fork_point=fork,
            teachers=shares,
            settings={},
            scorecard=card,
            controls={},
            plan=_DIGEST,
            owner=CONSOLIDATION,
        )
        data = canonical_json(student.model_dump(mode="json"))
        made = self._record("student", tuple(_inputs(student.artifacts())), "student", data)
        self._register(CONSOLIDATION, STUDENTS, number, made)
        return weights

    def _record(
        self,
        kind: str,
        inputs: tuple[Input, ...],
        output_kind: str,
        data: bytes = b"",
        owner: str = CONSOLIDATION,
        **settings: str | int,
    ) -> Artifact:
        """Write a record and its output; return the output."""
        self.records += 1
        self.checkpoints += output_kind == "checkpoint"
        output = self.store.put_bytes(data or b"%s %d" % (kind.encode(), self.records))
        derivation = Derivation(
            project=owner,
            kind=kind,
            inputs=inputs,
            source="",
            settings={"number": self.records, **settings},
            seed=SEED,
        )
        record = self.store.put_bytes(derivation.to_bytes())
        said = Attestation(
            derivation=record,
            output=output,
            output_kind=output_kind,
            owner=owner,
            started=TIME,
            finished=TIME,
        )
        self._state(owner, f"{ATTESTATIONS}/{hex_of(record)}", 1, said)
        return Artifact(kind=output_kind, digest=output, record=record)

    def _register(self, owner: str, name: str, version: int, artifact: Artifact) -> None:
        """Register a version, and point ``released`` at it."""
        entry = Entry(
            name=name,
            version=version,
            kind=artifact.kind,
            digest=artifact.digest,
            record=artifact.record,
            owner=owner,
            created=TIME,
            note="",
        )
        self._state(owner, f"registry/{name}/versions", version, entry)
        move = Move(alias=RELEASED, version=version, by=owner, reason="", at=TIME)
        self._state(owner, f"registry/{name}/aliases", version, move)

    def _state(self, team: str, path: str, number: int, body: Stated) -> None:
        """Claim one slot for a statement that a team signs."""
        place = StatementPlace(
            store=self._identity,
            project=team,
            path=path,
            number=number,
            previous=self._previous.get(path, ""),
            at=TIME,
        )
        data = make_statement(body, place, self.keys[team])
        assert self.store.claim(place.key, data)
        if not path.startswith(ATTESTATIONS):  # of which each has one slot
            self._previous[path] = digest_bytes(data)


def _input(role: str, artifact: Artifact, name: str = "", weight: float | None = None) -> Input:
    digest, record = artifact.digest, artifact.record
    return Input(role=role, artifact=digest, record=record, name=name, weight=weight)


def _inputs(parts: dict[str, Artifact]) -> list[Input]:
    return [_input(role, part) for role, part in sorted(parts.items())]


def _release(
    owner: str, fork: Artifact, rungs: list[Artifact], parts: dict[str, Artifact]
) -> Release:
    return Release(
        domain=owner,
        kind="rl",
        checkpoint=rungs[-1],
        ladder=tuple(Rung(step=step, checkpoint=rung) for step, rung in enumerate(rungs, 1)),
        fork_point=fork,
        precursor=fork,
        tokenizer=_DIGEST,
        template=_DIGEST,
        thinking_mode="off",
        sampling=Sampling(temperature=1.0, max_new_tokens=32),
        sft=SftData(data=parts["demonstrations"], sketches=parts["demonstrations"].digest),
        prompts=Prompts(train=parts["train"], validation=parts["validation"]),
        evaluation=parts["evaluation"],
        environment=parts["environment"],
        scorecard=parts["scorecard"],
        owner=owner,
        license="Apache-2.0",
        team_version="1",
        code_version="1",
    )
