"""What an audit of a finished demo costs: seconds a behaviour, surgery, bytes."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tasks.attribution.answers import first_turns
from tasks.attribution.behaviour import Behaviour, Said
from tasks.attribution.query import explain
from tasks.attribution.subject import find_subject, open_models, plan_of
from tasks.attribution.surgery import reweighed
from tasks.model.files import load_policy, save_policy
from tasks.rollout.domains import stored_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.step import Bench

STUDENT = "student@released"


def demo(of_a_domain: int = 2) -> dict[str, object]:
    """Audit some of the student's own answers, one at a time, in the home that is set."""
    bench = Bench()
    subject = find_subject(bench, STUDENT)
    asked = _answers(bench, of_a_domain)
    times = [_timed(partial(explain, bench, STUDENT, [item])) for item in asked]
    models = open_models(bench, subject)

    def operate() -> None:
        changed = reweighed(models.end, subject.ledger, {subject.teachers[0].name: 0.0})
        models.policy.model.load_state_dict(changed, strict=False)
        with tempfile.TemporaryDirectory() as folder:
            save_policy(models.policy, Path(folder, "model"))

    ledger = bench.store.tree(subject.ledger_artifact.digest)
    model = bench.store.tree(subject.checkpoint.digest)
    return {
        "parameters": sum(tensor.numel() for tensor in models.end.values()),
        "behaviours": len(asked),
        "audit_wall_seconds": _most(wall for wall, _ in times),
        "audit_processor_seconds": _most(processor for _, processor in times),
        "surgery_wall_seconds": round(_timed(operate)[0], 2),
        "bytes": {
            "displacements": sum(file.stat().st_size for file in ledger.glob("segment-*")),
            "kept rollouts": (ledger / "rollouts.jsonl").stat().st_size,
            "model": (model / "model.safetensors").stat().st_size,
        },
    }


def _answers(bench: Bench, count: int) -> list[Behaviour]:
    subject = find_subject(bench, STUDENT)
    assert subject.published is not None
    policy = load_policy(bench.store.tree(subject.checkpoint.digest))
    sampling = SamplingSettings.model_validate(subject.derivation.settings["sampling"])
    found = []
    for lead in plan_of(bench, subject.published).leads:
        prompts = [
            tuple(Said.model_validate(vars(message)) for message in prompt.messages)
            for prompt in stored_prompts(bench.store, lead.evaluation)[:count]
        ]
        found += [
            Behaviour(prompt=prompt, response=text, domain=lead.domain)
            for prompt, text in zip(prompts, first_turns(policy, prompts, sampling, 0), strict=True)
            if text
        ]
    return found


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _most(values: Iterable[float]) -> dict[str, float]:
    listed = list(values)
    return {"median": round(statistics.median(listed), 2), "largest": round(max(listed), 2)}
