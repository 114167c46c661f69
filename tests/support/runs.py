"""Runs that leave the records of real ones, put into the store without training."""

import json

from lineage.artifacts import Artifact, Rung
from lineage.records.record import Input
from tasks.contracts.handover import Domain, DomainSettings
from tasks.release import release as releasing
from tests.support.making import SOURCE, write_record
from tests.support.tiny_models import saved_policy

SCORES = (0.8, 0.3, 0.2, 0.4)
"""Mean score of a teacher; its gain over the fork point, and the interval of that."""
SAMPLING = {"temperature": 0.7, "max_new_tokens": 9}


class Maker:
    """Puts artifacts into a store, each with a record of its inputs."""

    def __init__(self, runner):
        self.runner = runner

    def checkpoint(self, seed, kind="sft", owner="", inputs=(), **settings):
        """Return a real checkpoint of ``seed``; ``inputs`` are (role, artifact) or with a name."""
        digest = self.runner.store.put_tree(saved_policy(seed))
        return self._made("checkpoint", digest, kind, owner, inputs, **{"of": seed} | settings)

    def part(self, output_kind, text, kind="", owner="", inputs=(), **settings):
        digest = self.runner.store.put_bytes(text.encode())
        return self._made(output_kind, digest, kind or output_kind, owner, inputs, **settings)

    def _made(self, output_kind, digest, kind, owner, inputs, **settings):
        record, _ = write_record(
            self.runner.store,
            b"",
            *(taken(*each) for each in inputs),
            kind=kind,
            output=digest,
            output_kind=output_kind,
            owner=owner,
            **settings,
        )
        return Artifact(kind=output_kind, digest=digest, record=record)


def taken(role, artifact, name="", weight=None):
    """Return an input of a record."""
    return Input(
        role=role, artifact=artifact.digest, record=artifact.record, name=name, weight=weight
    )


class Climbed:
    """A team's climb as it is before its release."""

    def __init__(self, make, fork_point, name="math", seed=1, *, label="", scores=SCORES):
        """``seed`` tells weights apart, ``label`` data; the card says ``scores``."""
        self.make, self.name, self.owner = make, name, f"team-{name}"
        self.fork_point, self._label, self._scores = fork_point, label, scores
        self.domain = self._domain()
        data = [("start", fork_point), ("data", self.domain.demonstrations)]
        self.precursor = make.checkpoint(10 * seed, owner=self.owner, inputs=data)
        self.ladder = [self._rung(step, 10 * seed + place) for place, step in ((1, 10), (2, 20))]
        self.scorecard = self._card()

    def _domain(self):
        bundle = self._part("environment", f"bundle {self.name}{self._label}")
        parts = {
            name: self._part(
                "dataset",
                f'{{"{self.name}{self._label}": "{name}"}}\n',
                "prompts" if name != "demonstrations" else name,
                [("environment", bundle)],
                split="train" if name == "demonstrations" else name,
            )
            for name in ("train", "validation", "evaluation", "demonstrations")
        }
        text = f"sketch {self.name}{self._label}"
        sketches = self._part("sketch", text, inputs=[("data", parts["demonstrations"])])
        settings = DomainSettings(name=self.name, owner=self.owner, version="2.1", license="MIT")
        return Domain(settings=settings, environment=bundle, sketches=sketches, **parts)

    def _part(self, output_kind, text, kind="", inputs=(), **settings):
        return self.make.part(
            output_kind, text, kind, self.owner, inputs, **{"domain": self.name} | settings
        )

    def _rung(self, step, seed):
        checkpoint = self.make.checkpoint(
            seed,
            "rl" if step == 20 else "rung",
            self.owner,
            [
                ("start", self.precursor),
                ("prompts", self.domain.train),
                ("environment", self.domain.environment),
            ],
            of="",
            domain=self.name,
            sampling=SAMPLING,
            stop_at=step,
            code=SOURCE,
        )
        return Rung(step=step, checkpoint=checkpoint)

    def measured(self, checkpoint, make=None):
        """Return the measurement of a checkpoint on the domain's evaluation set."""
        on = self.domain
        return (make or self.make).part(
            "measurement",
            f"{checkpoint.digest} on {on.evaluation.digest}",
            "evaluation",
            inputs=[
                ("checkpoint", checkpoint),
                ("prompts", on.evaluation),
                ("environment", on.environment),
            ],
            domain=on.settings.name,
        )

    def _card(self):
        rows = (
            ("method.fork_point", self.measured(self.fork_point), self.name),
            (f"teacher.{self.name}", self.measured(self.ladder[-1].checkpoint), self.name),
        )
        score, *interval = self._scores
        gain = dict(zip(("mean", "low", "high"), interval, strict=True))
        card = {
            self.name: {"teacher": {"mean": score}},
            "paired": {self.name: {"fork_point": gain}},
            "of": [row[1].digest for row in rows],
        }
        return self.make.part("scorecard", json.dumps(card), "scorecard", self.owner, rows)

    def release(self, **changed):
        """Release it; ``changed`` are other parts of the domain, ladder or scorecard."""
        ladder = changed.pop("ladder", self.ladder)
        card = changed.pop("scorecard", self.scorecard)
        domain = self.domain.model_copy(update=changed)
        return releasing.release_teacher(self.make.runner, ladder, domain, card)
