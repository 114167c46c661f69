"""A store with two teams, a foundation and a consolidation, and all that the others see of it."""

import json
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Start, check
from lineage.compatibility.collect import collect
from lineage.digest import digest_bytes
from lineage.graph.graph import Lineage
from lineage.launches.history import launches
from lineage.operations.verify import Verifier
from lineage.records.record import Derivation, Records
from lineage.registry.registry import Registry
from lineage.view.summary import report_of
from tasks.gate.probe_step import other_starts
from tests.support.making import checkpoint, release_of, take, write_record
from tests.support.teams import Shared

TOKENIZER, TEMPLATE = digest_bytes(b"tokenizer"), digest_bytes(b"template")
A, B = "code-team", "math-team"
TEACHER = {"reference": "teacher.math@1", "domain": "math", "owner": "team-math", "share": 1.0}
PLAN = json.dumps({"teachers": [TEACHER], "notes": []})
FORM = {"inputs": {"teachers": ["math@1"]}, "preset": "large"}


class World:
    """A fork point, B's climb and release, A's release, and a student of both."""

    def __init__(self, folder: Path, shared: Shared) -> None:
        self.shared = shared
        tree = shared.foundation.put_tree(checkpoint(folder / "fork", b"fork"))
        self.fork = write_record(shared.foundation, b"", output=tree)
        self.register(shared.foundation, "fork-point", self.fork, "checkpoint")
        self.climbs, self.releases = {}, {}
        for domain, store in (("math", shared.math), ("code", shared.code)):
            tree = store.put_tree(checkpoint(folder / domain, domain.encode()))
            start = take("start", self.fork)
            climb = write_record(store, b"", start, output=tree, kind="rl")
            self.climbs[domain] = climb
            self.releases[domain] = self.release(store, domain, climb)
            self.register(store, f"teacher.{domain}", self.releases[domain], "release")
        student = write_record(
            shared.consolidation,
            b"student",
            *(take("teacher", made, name=name) for name, made in self.releases.items()),
            kind="mopd",
        )
        self.student = student
        self.plan = write_record(
            shared.consolidation,
            PLAN.encode(),
            take("student", self.fork),
            *(take("release", made, name=name) for name, made in self.releases.items()),
            kind="plan",
            output_kind="plan",
        )
        launch = {"kind": "launch", "output_kind": "launch", **FORM}
        write_record(shared.consolidation, b"form", take("plan", self.plan), **launch)
        self.register(shared.consolidation, "student.general", student, "student")
        for store, name in (
            (shared.math, "teacher.math"),
            (shared.consolidation, "student.general"),
        ):
            Registry(store).point(name, "released", 1, by="lead")
        self.unmade = Derivation(
            kind="rl", inputs=(), source=TOKENIZER, settings={"next": 1}, seed=7, project=B
        )

    def release(self, store, domain, climb):
        rest = dict.fromkeys(
            ("scorecard", "environment", "sft", "train", "validation", "evaluation", "sketches"),
            store.put_bytes(b"rows"),
        )
        parts = {"checkpoint": climb[1], "rung": climb[1], "precursor": self.fork[1]}
        parts |= {"fork_point": self.fork[1], "tokenizer": TOKENIZER, "template": TEMPLATE}
        release = release_of(domain, **parts, **rest)
        point = Artifact(kind="checkpoint", digest=climb[1], record=climb[0])
        manifest = release.model_copy(update={"checkpoint": point})
        return write_record(
            store,
            manifest.model_dump_json().encode(),
            take("checkpoint", climb),
            kind="release",
            output_kind="release",
        )

    def register(self, store, name, made, kind):
        artifact = Artifact(kind=kind, digest=made[1], record=made[0])
        Registry(store).register(name, artifact, owner=name)

    def seen(self, index: Path) -> dict:
        """Return all that B and the consolidation go by."""
        found = {}
        for team in (B, "consolidation"):
            store = self.shared.of(team)
            registry, records = Registry(store), Records(store)
            for name in ("teacher.math", "fork-point", "student.general"):
                found[f"{team} {name}"] = [
                    [entry.model_dump() for entry in registry.versions(name)],
                    registry.aliases(name),
                    [event.model_dump() for event in registry.events(name)],
                ]
            for reference in ("math@released", "math@latest", "fork-point@1", self.fork[1]):
                found[f"{team} {reference}"] = registry.resolve(reference).model_dump()
            for record in (self.fork[0], self.climbs["math"][0], self.releases["math"][0]):
                found[f"{team} {record}"] = [
                    said.model_dump() for said in records.attestations(record)
                ]
            found[f"{team} unmade"] = records.finished(self.unmade.digest())
        store = self.shared.consolidation
        candidates = collect(store, {"math": "math@released"}, self.fork[0])
        found["plan"] = repr(candidates)
        start = Start(self.fork[1], TOKENIZER, TEMPLATE, frozenset({self.fork[1]}))
        found["findings"] = [repr(finding) for finding in check(candidates, start)]
        found["family"] = Lineage(store, index).ancestors(self.releases["math"][0])
        verified = Verifier(store).verify(self.releases["math"][0])
        found["launches"] = [
            launch.model_dump(mode="json")
            for launch in launches(store)[0]
            if launch.plan == self.plan[1]
        ]
        found["report"] = report_of(store, self.student[1], self.student[0])
        found["relatives"] = other_starts(store, self.fork[1], self.climbs["math"][0])
        found["verified"] = [repr(problem) for problem in verified.problems]
        return json.loads(json.dumps(found, default=str))
