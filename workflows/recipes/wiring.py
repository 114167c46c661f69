"""What some recipes share beside ``kit``: mid-training, traces, judges, ladders, pictures."""

from collections.abc import Mapping, Sequence

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain, StageLabel
from tasks.distil_traces.task import distil_traces
from tasks.mid_training.task import read_on
from tasks.recipe.task import finished_policy, late_policy
from tasks.rejection_sampling.task import write_verdicts
from tasks.rl.task import reinforce
from tasks.sft.task import finetune, make_image_base, make_text
from workflows.graph import named
from workflows.recipes.kit import RecipeRun
from workflows.recipes.kit_data import OWNER
from workflows.testbed.base import DOMAINS, PICTURES, SEED

NUM_DOCUMENTS = 3000
"""ours: lines of the kind that the base of the testbed read, from another seed."""

NUM_LATE = 2
"""ours: checkpoints of a climb that write its traces."""


def give_sight(run: RecipeRun, name: str, texts: Sequence[str]) -> None:
    """Wire the domain with pictures, and a base that sees in the place of the testbed's.

    It reads examples of the pictures and of the ``texts`` together.
    """
    run.collect(PICTURES, place=len(DOMAINS))  # behind the domains of all recipes
    made = make_image_base(
        start=run.base,
        data=run.demonstrations([*texts, PICTURES.name]),
        settings=run.numbers.image_base[name],
        seed=SEED,
    )
    run.base = named(name, made)


def mid_trained(run: RecipeRun, name: str, start: Artifact) -> Artifact:
    """Wire continued pre-training from ``start`` on text that holds no evaluation prompt."""
    text = named(f"text-{name}", make_text(num_documents=NUM_DOCUMENTS, seed=SEED + 1))
    made = read_on(
        start=start,
        text=[text],
        evaluation=[run.domain(domain.name).evaluation for domain in DOMAINS],
        settings=run.numbers.mid_training[name],
        seed=run.seed,
        stage=StageLabel(name=name, owner=OWNER),
    )
    return run.stage(name, made)


def distilled(run: RecipeRun, name: str, traces: Sequence[Artifact]) -> Artifact:
    """Wire the demonstrations of one SFT; there are as many traces as the settings have sources."""
    made = distil_traces(
        traces=list(traces), settings=run.numbers.traces[name], seed=run.seed, owner=OWNER
    )
    return named(f"traces-{name}", made)


def judge(run: RecipeRun, name: str, start: Artifact, responses: Sequence[Artifact]) -> Artifact:
    """Wire a model that learns to judge from verdicts; it is no stage of the card."""
    written = write_verdicts(
        responses=list(responses),
        settings=run.numbers.verdicts[name],
        seed=run.seed,
        owner=OWNER,
    )
    made = finetune(
        start=start,
        data=[named(f"verdicts-{name}", written)],
        settings=run.numbers.sft[name],
        seed=run.seed,
        stage=StageLabel(name=name, owner=OWNER),
    )
    return named(name, made)


def climbed(
    run: RecipeRun,
    name: str,
    start: Artifact,
    domains: Sequence[Domain],
    by: str,
    models: Mapping[str, Artifact] | None = None,
) -> dict[str, Artifact]:
    """Wire RL, and return its last checkpoints by name, ``NUM_LATE`` of them; each is a stage."""
    made = reinforce(
        start=start,
        domains=list(domains),
        settings=run.numbers.rl[by],
        seed=run.seed,
        models=dict(models or {}),
    )
    ladder = named(f"rl-{name}", made)
    found = {
        f"{name}-before-{before}": late_policy(ladder=ladder, before=before)
        for before in reversed(range(1, NUM_LATE))
    }
    found[name] = finished_policy(ladder=ladder)
    return {stage: run.stage(stage, checkpoint) for stage, checkpoint in found.items()}
