"""A student of two teachers with real weights, as small as they can be, and all of its records."""

import copy
import json

from lineage.artifacts import Artifact, Student, TeacherShare, put_manifest
from lineage.digest import digest_bytes
from lineage.registry.registry import Registry
from tests.support.making import release_of, take, write_record
from tests.support.tiny_models import saved_policy

TOKENS = {"math": 300, "code": 100}
HUB_BASE = "org/tiny-base"


def interval(mean):
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 400}


def scorecard(*methods):
    """Return a scorecard's JSON: 0.4 for the first method, 0.1 more for each after it."""
    scores = {name: interval(0.4 + 0.1 * place) for place, name in enumerate(methods)}
    settings = {"temperature": 1.0, "samples": 1, "seed": 0, "max_tokens": 24, "passed": {}}
    domains = {domain: {**scores, "normalized": {}} for domain in TOKENS}
    return {**domains, "overall": {**scores, "normalized": {}}, "settings": settings}


class Family:
    """Base, data, fork point, two teachers with releases, a student, all registered."""

    def __init__(self, store, *, licenses=None, base=None, base_license="MIT"):
        self.store = store
        self.licenses = {"math": "Apache-2.0", "code": "MIT", **(licenses or {})}
        notes = {"license": base_license} if base_license else {}
        source = base if base is not None else {"source": HUB_BASE}
        self.base = self.model(0, kind="base", notes=notes, **source)
        self.data = {domain: self.demonstrations(domain) for domain in TOKENS}
        data = [take("data", self.data[domain], name=domain) for domain in TOKENS]
        self.fork = self.model(1, take("start", self.base), *data, kind="sft")
        self.teachers = {}
        self.releases = {}
        for place, domain in enumerate(TOKENS):
            self.teachers[domain] = self.model(2 + place, take("start", self.fork), kind="rl")
            self.releases[domain] = self.release(domain)
        self.student = self.publish()

    def in_store(self, store):
        """Return the same family in a copy of its store."""
        other = copy.copy(self)
        other.store = store
        return other

    def model(self, seed, *inputs, **more):
        tree = self.store.put_tree(saved_policy(seed))
        return write_record(self.store, b"", *inputs, output=tree, seed_of=seed, **more)

    def demonstrations(self, domain):
        return write_record(
            self.store,
            f"{domain} rows".encode(),
            kind="demonstrations",
            domain=domain,
            output_kind="dataset",
            notes={"license": self.licenses[domain]},
        )

    def card(self, *methods):
        data = json.dumps(scorecard(*methods)).encode()
        return Artifact(kind="scorecard", digest=self.store.put_bytes(data))

    def release(self, domain):
        rows = self.store.put_bytes(f"{domain} held out".encode())
        parts = ("environment", "train", "validation", "evaluation", "sketches")
        release = release_of(
            domain,
            checkpoint=self.teachers[domain][1],
            rung=self.teachers[domain][1],
            fork_point=self.fork[1],
            precursor=self.fork[1],
            tokenizer=digest_bytes(b"tokenizer"),
            template=digest_bytes(b"template"),
            sft=self.data[domain][1],
            scorecard=self.card("fork_point", "teacher").digest,
            **dict.fromkeys(parts, rows),
        )
        record, digest = self.teachers[domain]
        checkpoint = Artifact(kind="checkpoint", digest=digest, record=record)
        stated = {"checkpoint": checkpoint, "license": self.licenses[domain]}
        manifest = put_manifest(self.store, release.model_copy(update=stated))
        made = write_record(
            self.store,
            b"",
            take("checkpoint", self.teachers[domain]),
            kind="release",
            output=manifest,
            output_kind="release",
            owner=f"{domain}-team",
        )
        artifact = Artifact(kind="release", digest=manifest, record=made[0])
        Registry(self.store).register(f"teacher.{domain}", artifact, owner=f"{domain}-team")
        return made

    def planned(self, *inputs, findings=()):
        """Write a plan of both teachers; further ``inputs`` are what it was made from besides."""
        teachers = [
            {
                "reference": f"teacher.{domain}@1",
                "domain": domain,
                "owner": f"{domain}-team",
                "share": 1.0,
            }
            for domain in TOKENS
        ]
        document = {"teachers": teachers, "notes": list(findings), "number": len(inputs)}
        return write_record(
            self.store,
            json.dumps(document).encode(),
            take("student", self.fork),
            *inputs,
            kind="plan",
            output_kind="plan",
            findings=list(findings),
        )

    def publish(self):
        teachers = [take("teacher", self.teachers[domain], name=domain) for domain in TOKENS]
        self.mopd = self.model(9, take("student", self.fork), *teachers, kind="mopd")
        self.plan = self.planned()
        manifest = Student(
            checkpoint=Artifact(kind="checkpoint", digest=self.mopd[1], record=self.mopd[0]),
            fork_point=Artifact(kind="checkpoint", digest=self.fork[1], record=self.fork[0]),
            teachers=tuple(
                TeacherShare(
                    domain=domain,
                    release=self.releases[domain][1],
                    reference=f"teacher.{domain}@1",
                    weight=1.0,
                    tokens_routed=tokens,
                )
                for domain, tokens in TOKENS.items()
            ),
            settings={},
            scorecard=self.card("fork_point", "teacher", "student"),
            controls={},
            plan=self.plan[1],
            owner="consolidation",
        )
        made = write_record(
            self.store,
            b"",
            take("checkpoint", self.mopd),
            *(take(f"release.{domain}", self.releases[domain]) for domain in TOKENS),
            take("plan", self.plan),
            kind="student",
            output=put_manifest(self.store, manifest),
            output_kind="student",
            owner="consolidation",
        )
        artifact = Artifact(kind="student", digest=made[1], record=made[0])
        registry = Registry(self.store)
        entry = registry.register("student.general", artifact, owner="consolidation")
        registry.point("student.general", "released", entry.version, by="consolidation")
        return made


def take_failure(family, error="the disk is full"):
    """Record that the family's plan was tried once and failed."""
    return write_record(
        family.store,
        b"what happened",
        take("plan", family.plan),
        kind="failure",
        error=error,
        output_kind="failure",
    )
