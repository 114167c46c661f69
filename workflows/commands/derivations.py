"""The external parameters of each kind of record, for verifiers of other projects.

``python -m workflows.commands.derivations docs/derivations`` writes a page and a JSON schema for
each kind. An exported statement names the page as its ``buildType``.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lineage.compatibility.checks import Finding
from lineage.declared import Declared, DeclaredTraces
from lineage.launches.launch import Launched
from lineage.launches.waiver import Waiver
from tasks.contracts.handover import TeacherVerdict
from tasks.contracts.remedies import RemedyOutcome, WarmUpSettings
from tasks.distil_traces.settings import TraceSettings
from tasks.evaluate.settings import CardSettings, EvaluationSettings
from tasks.gate.measured import ProbeSettings
from tasks.merge.settings import MergeSettings, SoupSettings, SparseMergeSettings
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mopd.settings import RoundSettings
from tasks.preference.settings import PreferenceSettings
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import PairRule
from tasks.rejection_sampling.settings import ComparisonSettings, ResponseSettings, VerdictSettings
from tasks.reward_model.settings import RewardModelSettings
from tasks.rl.external_settings import ExternalTrainer
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.settings import JudgeSettings
from tasks.sft.settings import BaseSettings, ImageBaseSettings, SftSettings
from workflows.commands.derivation_schemas import (
    Defined,
    Schema,
    any_of,
    closed,
    fields_of,
    model_of,
)


@dataclass(frozen=True)
class Kind:
    """One kind of record."""

    makes: str
    """What its output is, as a sentence."""
    settings: Callable[[], Defined]


_DATA = any_of(
    fields_of(domain=str, split=str, count=int),
    fields_of(domain=str, split=str, count=int, allow_unconfined=bool),
)
_RL = any_of(
    model_of(RlSettings, domain=str, stop_at=int),
    model_of(RlSettings, domains=list[str], stop_at=int),
)
_MANIFEST = fields_of(manifest=str)
_JSON = dict[str, object]

_WARM_UP = {
    **{
        name: field.annotation
        for name, field in WarmUpSettings.model_fields.items()
        if name != "most_cycles"
    },
    "sampling": SamplingSettings,
}
"""Settings of a cycle of a warm-up; how many follow is no part of it."""

KINDS: Mapping[str, Kind] = {
    "annotation": Kind(
        "Comparisons by a simulated annotator, who prefers a known gold score with known noise.",
        model_of(AnnotatorSettings),
    ),
    "approval": Kind("A person's decision on a gated plan.", fields_of(decision=str)),
    "audit": Kind("Which teachers shaped a student's behavior.", fields_of(student=str)),
    "base": Kind(
        "The pretrained model that everything descends from: trained from scratch, a copy of a "
        "model of the Hugging Face Hub (`source`, with its `revision`), or of a local folder "
        "(`files` by SHA-256).",
        any_of(
            model_of(BaseSettings),
            fields_of(source=str),
            fields_of(source=str, revision=str),
            fields_of(source=str, revision=str, license=str),
            fields_of(files=dict[str, str]),
            fields_of(files=dict[str, str], license=str),
        ),
    ),
    "behaviors": Kind("Prompts with the responses that an audit explains.", fields_of(sample=int)),
    "comparison": Kind(
        "Comparisons by a judge, which saw both orders of each pair.",
        model_of(ComparisonSettings, judge=JudgeSettings),
    ),
    "demonstrations": Kind("Episodes of a domain for supervised learning, JSONL.", _DATA),
    "difficulty": Kind("Prompts of a domain within a window of pass rates.", model_of(PromptRule)),
    "text_loss": Kind("How well a checkpoint predicts held-out text.", fields_of(row_tokens=int)),
    "drift": Kind(
        "The KL from one checkpoint to another on a domain's validation prompts.",
        model_of(EvaluationSettings, domain=str),
    ),
    "environment": Kind(
        "The source of a domain's environment, which answers and grades.", fields_of(domain=str)
    ),
    "evaluation": Kind(
        "The score of one checkpoint on a domain's held-out prompts.",
        model_of(EvaluationSettings, domain=str),
    ),
    "external": Kind(
        "A rung of a climb by a command of the team's own, such as another trainer.",
        model_of(ExternalTrainer, domain=str, stop_at=int),
    ),
    "failure": Kind(
        "The account of a consolidation that failed after its plan.",
        fields_of(error=str, publish_as=str, rounds=int, round=RoundSettings),
    ),
    "foreign_traces": Kind(
        "Answers of a model that others serve, and what is declared of them; empty facts are "
        "unknown.",
        fields_of(files=dict[str, str], declared=DeclaredTraces),
    ),
    "gate": Kind(
        "The gate's report, with a verdict for each teacher.",
        fields_of(teachers=list[TeacherVerdict], judged=_JSON),
    ),
    "gate_outcome": Kind(
        "The result of a merge, beside the gate's verdicts.", fields_of(recipe=str)
    ),
    "image_base": Kind(
        "A text model with a vision tower, trained on demonstrations of text and images.",
        model_of(ImageBaseSettings),
    ),
    "import": Kind(
        "A teacher that was trained elsewhere, and what its team declares of it; empty facts are "
        "unknown.",
        any_of(
            fields_of(source=str, revision=str, domain=str, declared=Declared),
            fields_of(files=dict[str, str], domain=str, declared=Declared),
        ),
    ),
    "launch": Kind("The launch form of a plan, as it was submitted.", model_of(Launched)),
    "ledger": Kind("Each teacher's part of every update.", model_of(RoundSettings)),
    "merge": Kind(
        "A merge of teachers' weights, as a control.",
        any_of(
            fields_of(method=str),
            model_of(MergeSettings, method=str),
            model_of(SparseMergeSettings, method=str),
            model_of(SoupSettings),
        ),
    ),
    "mid_training": Kind("A model after mid-training on text.", model_of(MidTrainingSettings)),
    "mopd": Kind("A student after one round of distillation.", model_of(RoundSettings)),
    "pairs": Kind("Preference pairs, selected from responses.", model_of(PairRule)),
    "plan": Kind(
        "The inputs of a consolidation, by digest, with all findings of the check by records.",
        fields_of(self=list[str], findings=list[Finding], reviewed=bool),
    ),
    "preference": Kind(
        "A policy trained on comparisons (DPO), held back by a reference.",
        model_of(PreferenceSettings),
    ),
    "probe": Kind("The gate's measurements of the teachers.", model_of(ProbeSettings)),
    "prompts": Kind("Prompts of a domain, JSONL.", _DATA),
    "refork": Kind(
        "A request to a teacher's owner to climb again from another fork point.",
        lambda: ({"type": "object"}, {}),
    ),
    "rehearsal": Kind(
        "A student trained again on the rollouts of its round, without some teachers.",
        model_of(RoundSettings, without=list[str]),
    ),
    "release": Kind("A teacher with all that a consumer needs, by digest.", _MANIFEST),
    "remedy": Kind(
        "What remedies were measured to bring, teacher by teacher.",
        fields_of(teachers=list[RemedyOutcome]),
    ),
    "replay": Kind("A ledger with recomputed displacements.", model_of(RoundSettings)),
    "report": Kind("The page, picture and numbers of a student.", model_of(EvaluationSettings)),
    "reward_model": Kind(
        "A reward model: a policy's body with a scalar head, trained on comparisons.",
        model_of(RewardModelSettings),
    ),
    "rl": Kind("The last checkpoint of RL, such as a teacher.", _RL),
    "rung": Kind("An earlier checkpoint of RL.", _RL),
    "sampling": Kind(
        "All responses of checkpoints to prompts, each with the environment's grade.",
        model_of(ResponseSettings, domains=list[str]),
    ),
    "scorecard": Kind(
        "The scores of the student and of every control, with intervals.",
        model_of(CardSettings),
    ),
    "scoring": Kind(
        "Responses with further scores, by reward models or judges.",
        fields_of(judges=dict[str, JudgeSettings]),
    ),
    "selection": Kind("Demonstrations, selected from responses.", model_of(DemonstrationRule)),
    "sft": Kind("A checkpoint after supervised learning.", model_of(SftSettings)),
    "sketch": Kind(
        "Digests of the rows of a data set, to find data that teams share.", fields_of()
    ),
    "student": Kind("A published student: what it was made of, by digest.", _MANIFEST),
    "surgery": Kind(
        "A student after surgery: some teachers' updates are removed or reweighted.",
        fields_of(weights=dict[str, float]),
    ),
    "validation": Kind(
        "The scores of one checkpoint on validation prompts of a domain.",
        fields_of(domain=str, num_prompts=int, sampling=SamplingSettings),
    ),
    "traces": Kind(
        "Demonstrations from the answers of several teachers or samplers.", model_of(TraceSettings)
    ),
    "text": Kind(
        "Documents with source and license, JSONL: of a file, or written here.",
        any_of(fields_of(files=dict[str, str]), fields_of(num_documents=int)),
    ),
    "verdicts": Kind(
        "Verdicts of a simulated annotator on responses, from which a model learns to judge.",
        model_of(VerdictSettings),
    ),
    "waiver": Kind(
        "A signed statement that accepts findings of a plan.", model_of(Waiver, envelope=str)
    ),
    "warm_up": Kind(
        "A student after a cycle of its warm-up on a teacher's own responses.",
        any_of(
            fields_of(**_WARM_UP, cycle=int), fields_of(**_WARM_UP)
        ),  # before, there was one cycle
    ),
}


INPUT_FACET: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OpenLineage input facet provost_input: what a record took an artifact for",
    **closed(
        {
            "_producer": {"type": "string"},
            "_schemaURL": {"type": "string"},
            "role": {"type": "string"},
            "name": {"type": "string"},
            "weight": {"type": "number"},
        },
        ["_producer", "_schemaURL", "role"],
    ),
}


def schema_of(kind: str) -> Schema:
    """Return the JSON schema of the external parameters of a kind of record."""
    settings, definitions = KINDS[kind].settings()
    parameters = closed(
        {"kind": {"const": kind}, "settings": settings, "seed": {"type": "integer"}},
        ["kind", "seed", "settings"],
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"External parameters of a record of kind {kind}",
        **parameters,
        **({"$defs": definitions} if definitions else {}),
    }


def page_of(kind: str) -> str:
    """Return the page of a kind of record, in Markdown."""
    return (
        f"# Derivation: {kind}\n\n"
        f"{KINDS[kind].makes}\n\n"
        "This page is the `buildType` of exported SLSA provenance. `externalParameters` are as in\n"
        f"[{kind}.schema.json]({kind}.schema.json): `kind`, all `settings`, and the `seed`. They\n"
        "and the inputs among `resolvedDependencies` (role and weight are annotations) are the\n"
        "record's identity. `internalParameters` say under which circumstances it ran. A verifier\n"
        "refuses parameters that the schema does not know.\n"
    )


def write(folder: Path) -> None:
    """Write the pages and schemas of all kinds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        schema = json.dumps(schema_of(kind), indent=1, sort_keys=True)
        (folder / f"{kind}.schema.json").write_text(schema + "\n", encoding="utf-8")
        (folder / f"{kind}.md").write_text(page_of(kind), encoding="utf-8")
    facet = json.dumps(INPUT_FACET, indent=1, sort_keys=True)
    (folder / "provost_input.schema.json").write_text(facet + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
