"""Responses by hand, and a store with checkpoints, prompts and an environment to sample with."""

import json

from lineage.artifacts import Artifact
from tasks.contracts.named import NamedArtifact
from tasks.model.files import save_policy
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling.settings import DomainPrompts
from tasks.rollout.environment import Message, Prompt, Turn
from tasks.rollout.prompts import write_prompts
from tasks.rollout.responses import ScoredResponse, write_responses
from tests.support.bundles import write_bundle
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_models import tiny_policy

GRADE_BY_LENGTH = "return Grade(1.0 if len(turns[-1].content) % 2 == 0 else 0.0)"
"""Noise by chance: half of what an untrained model writes is solved."""


def response(text="2", prompt="a", *, question="", num_tokens=2, mode="", **changed):
    """Return a response to the prompt of this id; ``grade`` and other scores may be given."""
    scores = changed.pop("scores", None) or {"grade": changed.pop("grade", 1.0)}
    given = {
        "domain": "math",
        "prompt": Prompt(prompt, (Message("user", question or f"{prompt}?"),), mode=mode),
        "turns": (Turn("assistant", text),),
        "sampler": "one",
        "scores": scores,
        "num_tokens": num_tokens,
    }
    return ScoredResponse(**given | changed)


def texts(responses):
    """Return what each response says last."""
    return [each.turns[-1].content for each in responses]


class Bench:
    """A store with what a step samples from; every artifact has a record."""

    def __init__(self, folder, store=None):
        self.runner, self._folder = StepRunner(store, mirror=MemoryMirror()), folder

    def recorded(self, kind, digest, made_by, **settings):
        record, _ = write_record(
            self.runner.store, b"", output=digest, output_kind=kind, kind=made_by, **settings
        )
        return Artifact(kind=kind, digest=digest, record=record)

    def checkpoint(self, name="one", seed=0, kind="checkpoint"):
        folder = self._folder / f"model-{seed}"
        if not folder.exists():
            save_policy(tiny_policy(seed), folder)
        digest = self.runner.store.put_tree(folder)
        return NamedArtifact(name=name, artifact=self.recorded(kind, digest, "sft", of=seed))

    def environment(self, grade=GRADE_BY_LENGTH, name="environment"):
        bundle = write_bundle(self._folder / name, grade=grade)
        digest = self.runner.store.put_tree(bundle)
        return self.recorded("environment", digest, "environment", of=name)

    def prompts(self, *questions, domain="math"):
        file = self._folder / "prompts.jsonl"
        write_prompts(
            file, [Prompt(f"p{n}", (Message("user", q),)) for n, q in enumerate(questions)]
        )
        digest = self.runner.store.put_file(file)
        return self.recorded("dataset", digest, "prompts", of=[*questions], domain=domain)

    def domain(self, *questions, name="math"):
        return DomainPrompts(
            domain=name,
            prompts=self.prompts(*questions, domain=name),
            environment=self.environment(name=f"{name}-environment"),
        )

    def responses(self, *rows, name="r"):
        """Return an artifact of these responses."""
        file = self._folder / f"{name}.jsonl"
        write_responses(file, rows)
        digest = self.runner.store.put_file(file)
        return self.recorded("responses", digest, "sampling", of=digest)

    def inputs(self, artifact):
        """Return (role, name) of each input of an artifact's record, with the digest."""
        made = self.runner.records.read(artifact.record)
        return {(item.role, item.name): item.artifact for item in made.inputs}

    def notes(self, artifact):
        return self.runner.records.output(artifact.record).notes

    def metrics(self, artifact):
        """Return what the step measured, by step and name."""
        blob = self.runner.records.output(artifact.record).metrics
        rows = map(json.loads, self.runner.store.get_bytes(blob).splitlines())
        return {(row["step"], row["name"]): row["value"] for row in rows}
