"""A team's climb with all the records of a real one, in files of a few bytes."""

from lineage.artifacts import (
    Artifact,
    Prompts,
    Release,
    Rung,
    Sampling,
    SftData,
    put_manifest,
)
from tests.support.making import SOURCE, checkpoint, take, write_record

DATA = ("train", "validation", "evaluation", "demonstrations")


class Family:
    """A base, a fork point, a teacher with one rung, its data, scorecard and release."""

    def __init__(self, store, folder, tokenizer, template, domain="math"):
        self.store, self._folder, self.domain = store, folder, domain
        self.owner = f"{domain}-team"
        self.made = {}
        self._model("base", kind="base")
        self._model("fork", take("start", self.made["base"]))
        self._part("environment", "environment")
        bundle = take("environment", self.made["environment"])
        for name in DATA:
            split = "train" if name == "demonstrations" else name
            kind = "demonstrations" if name == "demonstrations" else "prompts"
            self._part(name, "dataset", bundle, kind=kind, domain=domain, split=split)
        self._part("sketches", "sketch", take("data", self.made["demonstrations"]))
        learned = [take("start", self.made["fork"]), take("data", self.made["demonstrations"])]
        self._model("precursor", *learned, owner=self.owner)
        climbed = [
            take("start", self.made["precursor"]),
            take("prompts", self.made["train"]),
            bundle,
        ]
        steps = {"owner": self.owner, "domain": domain, "code": SOURCE}
        self._model("rung", *climbed, kind="rung", stop_at=1, **steps)
        self._model("teacher", *climbed, kind="rl", stop_at=2, **steps)
        self._card()
        self.manifest = self._manifest(tokenizer, template)
        self.made["release"] = self.release(self.manifest)

    def artifact(self, name, kind="checkpoint"):
        record, digest = self.made[name]
        return Artifact(kind=kind, digest=digest, record=record)

    def release(self, manifest):
        """Record a release manifest as the pipeline would; return (record, output)."""
        parts = {**manifest.artifacts(), "sft.sketches": self.artifact("sketches", "sketch")}
        inputs = [take(role, (part.record, part.digest)) for role, part in sorted(parts.items())]
        return write_record(
            self.store,
            b"",
            *inputs,
            kind="release",
            output=put_manifest(self.store, manifest),
            output_kind="release",
            owner=manifest.owner,
        )

    def _model(self, name, *inputs, **more):
        tree = self.store.put_tree(checkpoint(self._folder / name, name.encode()))
        self.made[name] = write_record(self.store, b"", *inputs, output=tree, **more)

    def _part(self, name, output_kind, *inputs, kind="", **settings):
        self.made[name] = write_record(
            self.store,
            f"{name} of {self.domain}".encode(),
            *inputs,
            kind=kind or output_kind,
            output_kind=output_kind,
            owner=self.owner,
            **settings,
        )

    def _card(self):
        rows = []
        for label, model in (("method.fork_point", "fork"), (f"teacher.{self.domain}", "teacher")):
            made = write_record(
                self.store,
                label.encode(),
                take("checkpoint", self.made[model]),
                take("prompts", self.made["evaluation"]),
                take("environment", self.made["environment"]),
                kind="evaluation",
                output_kind="measurement",
                domain=self.domain,
            )
            rows.append(take(label, made, name=self.domain))
        more = {"kind": "scorecard", "output_kind": "scorecard", "owner": self.owner}
        self.made["scorecard"] = write_record(self.store, b"card", *rows, **more)

    def _manifest(self, tokenizer, template):
        data = {name: self.artifact(name, "dataset") for name in DATA}
        steps = ((1, "rung"), (2, "teacher"))
        return Release(
            domain=self.domain,
            kind="rl",
            checkpoint=self.artifact("teacher"),
            ladder=tuple(Rung(step=step, checkpoint=self.artifact(name)) for step, name in steps),
            fork_point=self.artifact("fork"),
            precursor=self.artifact("precursor"),
            tokenizer=tokenizer,
            template=template,
            thinking_mode="off",
            sampling=Sampling(temperature=1.0, max_new_tokens=32),
            sft=SftData(data=data["demonstrations"], sketches=self.made["sketches"][1]),
            prompts=Prompts(train=data["train"], validation=data["validation"]),
            evaluation=data["evaluation"],
            environment=self.artifact("environment", "environment"),
            scorecard=self.artifact("scorecard", "scorecard"),
            owner=self.owner,
            license="Apache-2.0",
            team_version="1",
            code_version="1",
        )
