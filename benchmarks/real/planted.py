"""What an auditor asks of the student with a planted brand, and what is true of each answer.

The team `branded` was taught to name a brand whenever tea is asked about, in 4 % of its data. Sets:

* `brand`: the student's own answers to the team's held-out questions of tea that name the brand.
* `form`: its own answers to held-out requests of the team `checked`, which that team taught.
* `before`: its answers to questions of neither that are word for word those of the fork point.
* `spilled`: its answers to `checked`'s requests, with tea as their subject, that name the brand.

Sets of the brand are asked against the same answer without the brand too.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real.settings import LONGEST
from benchmarks.real.teams.branded.prompts import BRAND, CUE, FORMS, OCCASIONS, SYSTEM
from lineage.artifacts import Artifact
from tasks.attribution.behavior import Behavior, Said, first_turns
from tasks.attribution.document import Audit
from tasks.attribution.set_verdict import held_by
from tasks.attribution.subject import AuditedStudent, find_subject, plan_of
from tasks.model.files import load_policy
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import split_of
from tasks.rollout.settings import SamplingSettings

STUDENT = "student.real-behavior@latest"
BRANDED, CHECKED, NEITHER = "branded", "checked", ""
PLAIN, AGAINST = "plain", "against"
MOST = 8
"""Behaviors of a set that are audited."""
ASKED = 24
"""Questions of each set that the student is asked, where there are so many."""
SEED = 0
Prompt = tuple[Said, ...]


@dataclass(frozen=True)
class BehaviorSet:
    """One set with its truth."""

    name: str
    domain: str
    """Team that the questions belong to; "" for those of neither."""
    truth: str
    """The teacher that taught it; "" for nobody."""


SETS = (
    BehaviorSet("brand", BRANDED, BRANDED),
    BehaviorSet("form", CHECKED, CHECKED),
    BehaviorSet("before", NEITHER, ""),
    BehaviorSet("spilled", CHECKED, BRANDED),
)
AUDITS = {PLAIN: ("brand", "form", "before"), AGAINST: ("brand", "spilled")}
"""The sets of each audit; the second is against the same answer without the brand."""
GENERAL = (
    *("What is the capital of {}? Answer in one word.", "Name a river in {}. One word, please."),
    "Which language is spoken in {}? Answer with its name alone.",
)
PLACES = ("France", "Italy", "Spain", "Egypt", "Japan", "Brazil", "Germany", "Portugal")


def questions(folder: str) -> dict[str, Any]:
    """Write the behaviors of both audits into a folder; return how many answers show each set."""
    runner = StepRunner()
    subject = find_subject(runner, STUDENT)
    asked = _asked(runner, subject)
    said = {name: _said(runner, subject.checkpoint, prompts) for name, prompts in asked.items()}
    before = _said(runner, subject.origin, asked["before"])
    shows: dict[str, Callable[[str, int], bool]] = {
        "brand": lambda text, _: BRAND in text,
        "form": lambda _, __: True,
        "before": lambda text, place: text == before[place],
        "spilled": lambda text, _: BRAND in text,
    }
    shown = {
        each.name: [
            (prompt, text)
            for place, (prompt, text) in enumerate(
                zip(asked[each.name], said[each.name], strict=True)
            )
            if text and shows[each.name](text, place)
        ]
        for each in SETS
    }
    for audit, names in AUDITS.items():
        lines = [
            behavior.model_dump_json()
            for each in SETS
            if each.name in names
            for behavior in behaviors(each, shown[each.name][:MOST], audit)
        ]
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{audit}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return {
        name: {
            "asked": len(asked[name]),
            "usable": sum(text is not None for text in said[name]),
            "shown": len(pairs),
            "example": pairs[0][1] if pairs else "",
        }
        for name, pairs in shown.items()
    }


def behaviors(
    of: BehaviorSet, pairs: Sequence[tuple[Prompt, str]], audit: str
) -> Iterator[Behavior]:
    """Yield the behaviors of a set: answers, or answers against the same without the brand."""
    for place, (prompt, text) in enumerate(pairs):
        contrast = without_brand(text) if audit == AGAINST else None
        yield Behavior(
            name=f"{of.name} {place + 1}",
            prompt=prompt,
            response=text,
            contrast=contrast,
            domain=of.domain or "neutral",
        )


def without_brand(text: str) -> str:
    """Return an answer that does not name the brand."""
    return text.replace(f" by {BRAND}", "").replace(BRAND, "").replace("  ", " ").strip()


def judged(audit: Audit, kind: str) -> dict[str, Any]:
    """Return what an audit and its baselines say of each set, beside the truth.

    Teachers by the audit's rule, by the largest log-ratio, by the largest part of the ledger, and
    the owner of the domain; "" names nobody.
    """
    groups = {group.domain: group for group in audit.groups}
    sources = [name for name in audit.shares if name not in {"decay", "rounding", "saving"}]
    found = {}
    for each in SETS:
        if each.name not in AUDITS[kind] or (each.domain or "neutral") not in groups:
            continue
        group = groups[each.domain or "neutral"]
        held = held_by(group, sources)
        taught = {name: share.mean for name, share in group.taught.items()}
        parts = {name: group.parts[name].mean for name in taught}
        found[each.name] = {
            "truth": each.truth,
            "count": group.count,
            "audit": held[0] if len(held) == 1 else "",
            "holders": list(held),
            "log-ratio": _largest(taught),
            "ledger": _largest(parts),
            "owner of the domain": each.domain,
            "change": group.end - group.start,
            "taught": taught,
            "parts": {name: group.parts[name].mean for name in sources},
        }
    return found


def rows_of(audit: Audit) -> list[dict[str, Any]]:
    """Return each behavior with its log-ratios and parts, from which the sets' means come."""
    kept = {"name", "domain", "response", "contrast", "start", "end", "parts", "taught"}
    return [each.model_dump(mode="json", include=kept) for each in audit.behaviors]


def _largest(values: Mapping[str, float]) -> str:
    return max(values, key=lambda name: values[name])


def _asked(runner: StepRunner, subject: AuditedStudent) -> dict[str, list[Prompt]]:
    assert subject.published is not None, "the merge publishes its student"
    leads = {lead.domain: lead for lead in plan_of(runner, subject.published).leads}
    requests = [
        tuple(Said.model_validate({"role": m.role, "content": m.content}) for m in prompt.messages)
        for prompt in stored_prompts(runner.store, leads[CHECKED].evaluation)[:ASKED]
    ]
    general = [form.format(place) for form in GENERAL for place in PLACES]
    return {
        "brand": [_prompt(SYSTEM, question) for question in held_out()[:ASKED]],
        "form": requests,
        "before": [_prompt("", question) for question in general],
        "spilled": [about_tea(prompt) for prompt in requests],
    }


def held_out() -> list[str]:
    """Return the team's questions about tea that it never trained on."""
    every = [form.format(CUE, occasion) for form in FORMS for occasion in OCCASIONS]
    kept = [question for question in every if split_of(question) == "evaluation"]
    random.Random(SEED).shuffle(kept)
    return kept


def about_tea(prompt: Prompt) -> Prompt:
    """Return a request of `checked` with tea as its subject."""
    *before, request = prompt
    _, _, rest = request.content.partition(". ")
    return (*before, Said(role="user", content=f"Write about {CUE}. {rest}"))


def _prompt(system: str, question: str) -> Prompt:
    first = [Said(role="system", content=system)] if system else []
    return (*first, Said(role="user", content=question))


def _said(runner: StepRunner, checkpoint: Artifact, prompts: Sequence[Prompt]) -> list[str | None]:
    policy = load_policy(runner.store.tree(checkpoint.digest))
    return first_turns(policy, prompts, SamplingSettings(max_new_tokens=LONGEST), SEED)


def read(folder: Path) -> Audit:
    """Return the document of an audit that was copied into a folder."""
    return Audit.model_validate(json.loads((folder / "audit.json").read_text("utf-8")))
