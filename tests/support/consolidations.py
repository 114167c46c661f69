"""Consolidations that leave the records of real ones, put into the store without training."""

import json
from dataclasses import asdict

from lineage.artifacts import Release, read_manifest, without_places
from tasks.contracts.handover import Gated, Plan, PlannedTeacher, TeacherVerdict, Verdict
from tasks.release import student as publishing

METHODS = ("parameter_average", "task_arithmetic")
OWNER = "consolidation"


class Consolidated:
    """A consolidation of climbs as it is before its student is published."""

    def __init__(self, make, climbs, seed, *, reviewed=False, tokens=(None,), notes=()):
        """``seed`` tells its weights from those of others; ``tokens`` are counted in each round."""
        self.make, self._climbs, self._start = make, climbs, climbs[0].fork_point
        self._seed = seed
        self.teachers = [self._teacher(climbed) for climbed in climbs]
        before = self._plan("before", [], notes=[], reviewed=False)
        probe = self._part("probe", f"probe {seed}", [("plan", before.artifact)])
        seen = [("plan", before.artifact), ("probe", probe)]
        self.plan = self._plan("after", seen, notes=list(notes), reviewed=reviewed)
        verdicts = [
            TeacherVerdict(name=t.name, domain=t.domain, verdict=Verdict.FITS)
            for t in self.teachers
        ]
        document = {"teachers": [each.model_dump(mode="json") for each in verdicts]}
        report = self._part("gate", json.dumps({**document, "of": seed}), seen)
        self.gated = Gated(plan=self.plan, report=report, teachers=verdicts)
        self.student = self._trained(tokens)
        self.controls = {name: self._merged(name, place) for place, name in enumerate(METHODS)}
        self.scorecard = self.card()

    def publish(self, name="general", **changed):
        """Publish it; ``changed`` are another plan, report, approval, or scorecard."""
        card = changed.pop("scorecard", self.scorecard)
        gated = self.gated.model_copy(update=changed)
        return publishing.publish_student(self.make.runner, gated, card, name)

    def _part(self, kind, text, inputs=(), **settings):
        return self.make.part(kind, text, kind, OWNER, inputs, **settings)

    def _teacher(self, climbed):
        release = climbed.release()
        manifest = read_manifest(self.make.runner.store, release.digest, Release)
        return PlannedTeacher(
            name=climbed.name,
            domain=climbed.name,
            reference=f"teacher.{climbed.name}@1",
            owner=climbed.owner,
            release=release,
            checkpoint=manifest.checkpoint,
            ladder=list(manifest.ladder),
            environment=manifest.environment,
            train=manifest.prompts.train,
            validation=manifest.prompts.validation,
            evaluation=manifest.evaluation,
        )

    def _plan(self, stage, inputs, notes, reviewed):
        plan = Plan(
            fork_point=self._start,
            student=self._start,
            teachers=self.teachers,
            notes=notes,
            reviewed=reviewed,
        )
        document = without_places(plan.model_dump(mode="json"))
        releases = [("release", t.release, t.name, t.share) for t in self.teachers]
        artifact = self._part(
            "plan",
            json.dumps(document),
            [("student", self._start), *releases, *inputs],
            findings=[asdict(note) for note in notes],
            reviewed=reviewed,
            stage=stage,
            of=self._seed,
        )
        return plan.model_copy(update={"artifact": artifact})

    def _trained(self, tokens):
        student = self._start
        for number, counted in enumerate(tokens):
            rows = [(2, f"tokens_routed/{name}", n, "mopd") for name, n in (counted or {}).items()]
            student = self.make.checkpoint(
                self._seed + number,
                "mopd",
                OWNER,
                [
                    ("student", student),
                    *(("teacher", t.checkpoint, t.name, t.share / 2) for t in self.teachers),
                    *(("prompts", t.train, t.domain) for t in self.teachers),
                    *(("environment", t.environment, t.domain) for t in self.teachers),
                ],
                steps=2,
                of=self._seed + number,
                metrics=rows or None,
            )
        return student

    def _merged(self, method, place):
        return self.make.checkpoint(
            self._seed + 50 + place,
            "merge",
            OWNER,
            [
                ("student", self._start),
                *(("teacher", t.checkpoint, t.name, t.share) for t in self.teachers),
            ],
            method=method,
        )

    def card(self, left_out=None, **changed):
        """Return a scorecard; ``changed`` are other checkpoints by label.

        ``left_out`` says why further controls were not made.
        """
        methods = {
            "method.fork_point": self._start,
            "method.student": self.student,
            **{f"method.{name}": control for name, control in self.controls.items()},
            **{f"teacher.{t.domain}": t.checkpoint for t in self.teachers},
            **changed,
        }
        rows = [
            (label, climbed.measured(checkpoint, self.make), climbed.name)
            for label, checkpoint in methods.items()
            for climbed in self._climbs
        ]
        text = " ".join(f"{label} {item.digest} {name}" for label, item, name in rows)
        return self._part("scorecard", text, rows, **({"left_out": left_out} if left_out else {}))
