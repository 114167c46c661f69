"""What recipes share: the testbed, stages by name, and the card at the end.

Everything here is wired inside a ``@workflow``: artifacts and numbers are promises.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain, StageLabel
from tasks.contracts.scale import Scale
from tasks.evaluate.task import recipe_label, score_recipe
from tasks.merge.task import merge_checkpoints
from tasks.preference.task import learn_preferences
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.task import finished_policy, numbers_at
from tasks.rejection_sampling.settings import PromptSplit
from tasks.rejection_sampling.task import (
    annotate,
    sample_responses,
    score_responses,
    select_demonstrations,
    select_pairs,
    select_prompts,
)
from tasks.release.task import collect_domain
from tasks.reward_model.task import train_reward_model
from tasks.rl.task import reinforce
from tasks.sft.task import finetune
from workflows.graph import named
from workflows.testbed.base import DOMAINS, SEED, lay, package_of

OWNER = "recipes"
"""Owner of what a recipe makes."""


class Made(NamedTuple):
    """What a recipe leaves behind."""

    model: Artifact
    """The last checkpoint."""
    card: Artifact
    """Scores of all stages, forgetting, drift and cost."""


class RecipeRun:
    """One run of a recipe: its numbers, base and domains, and the stages so far.

    Data does not depend on the recipe's seed, so all recipes and seeds train on the same prompts,
    and each is measured on every domain, whether it trains on it or not.
    """

    def __init__(self, system: str, scale: Scale, seed: int, rows: Sequence[RecipeNumbers]) -> None:
        """Wire the numbers of the scale, the base, and the data of all domains."""
        self.system, self._scale, self._seed = system, scale, seed
        self.numbers: RecipeNumbers = named("numbers", numbers_at(scale=scale, rows=list(rows)))
        bed, self.base = lay(scale)
        self.stages: dict[str, Artifact] = {}
        """Checkpoints by name, in the order of the recipe; each is on the card."""
        self.ladders: dict[str, list[Rung]] = {}
        """Ladders of the RL stages by name."""
        self._domains: dict[str, Domain] = {}
        for place, domain in enumerate(DOMAINS):
            made = collect_domain(
                package=package_of(domain), settings=bed.domains[place], seed=SEED
            )
            self._domains[domain.name] = named(f"collect-{domain.name}", made)

    @property
    def seed(self) -> int:
        """Seed of all training."""
        return self._seed

    def domain(self, name: str) -> Domain:
        """Return a domain of the testbed."""
        return self._domains[name]

    def demonstrations(self, names: Sequence[str]) -> list[Artifact]:
        """Return the demonstrations of domains; a promise of a part serves one task."""
        return [self._domains[name].demonstrations for name in names]

    def sft(
        self,
        name: str,
        start: Artifact,
        data: Sequence[Artifact],
        by: str = "",
        owner: str = OWNER,
    ) -> Artifact:
        """Wire supervised training from ``start`` with the numbers ``by``, else of its name.

        ``owner`` is a domain's if the stage belongs to the teacher that its team releases.
        """
        made = finetune(
            start=start,
            data=list(data),
            settings=self.numbers.sft[by or name],
            seed=self._seed,
            stage=StageLabel(name=name, owner=owner),
        )
        return self.stage(name, made)

    def rl(
        self,
        name: str,
        start: Artifact,
        domains: Sequence[Domain],
        by: str = "",
        models: Mapping[str, Artifact] | None = None,
    ) -> Artifact:
        """Wire RL from ``start``; ``models`` are those that the settings name."""
        ladder = reinforce(
            start=start,
            domains=list(domains),
            settings=self.numbers.rl[by or name],
            seed=self._seed,
            models=dict(models or {}),
        )
        self.ladders[name] = named(f"rl-{name}", ladder)
        return self.stage(name, finished_policy(ladder=self.ladders[name]))

    def answers(
        self, name: str, samplers: Mapping[str, Artifact], domains: Sequence[Domain], by: str
    ) -> Artifact:
        """Wire the sampling of responses to training prompts, all of which are kept."""
        made = sample_responses(
            checkpoints=list(samplers.values()),
            names=list(samplers),
            domains=list(domains),
            split=PromptSplit.TRAIN,
            settings=self.numbers.responses[by],
            seed=self._seed,
        )
        return named(f"answers-{name}", made)

    def selected(self, name: str, responses: Sequence[Artifact], by: str = "") -> Artifact:
        """Wire the selection of demonstrations from responses."""
        made = select_demonstrations(
            responses=list(responses),
            rule=self.numbers.demonstrations[by or name],
            seed=self._seed,
            owner=OWNER,
        )
        return named(f"selected-{name}", made)

    def filtered(self, name: str, responses: Artifact, by: str) -> Domain:
        """Wire the choice of a domain's training prompts by their pass rates in responses."""
        made = select_prompts(
            domain=self.domain(name), responses=[responses], rule=self.numbers.prompts[by]
        )
        return named(f"prompts-{name}", made)

    def pairs(self, name: str, responses: Sequence[Artifact]) -> Artifact:
        """Wire the selection of preference pairs from responses."""
        made = select_pairs(
            responses=list(responses), rule=self.numbers.pairs[name], seed=self._seed, owner=OWNER
        )
        return named(f"pairs-{name}", made)

    def compared(self, name: str, responses: Sequence[Artifact], by: str) -> Artifact:
        """Wire the comparisons of responses by a simulated annotator."""
        made = annotate(
            responses=list(responses),
            settings=self.numbers.annotators[by],
            seed=self._seed,
            owner=OWNER,
        )
        return named(f"comparisons-{name}", made)

    def reward_model(
        self, name: str, start: Artifact, comparisons: Sequence[Artifact], by: str
    ) -> Artifact:
        """Wire a reward model from ``start``; it is no stage of the card."""
        made = train_reward_model(
            start=start,
            comparisons=list(comparisons),
            demonstrations=[],
            settings=self.numbers.reward_model[by],
            seed=self._seed,
            stage=StageLabel(name=name, owner=OWNER),
        )
        return named(name, made)

    def scored(self, name: str, responses: Artifact, models: Mapping[str, Artifact]) -> Artifact:
        """Wire the scores of reward models, by their names, on responses."""
        made = score_responses(
            responses=responses,
            reward_models=list(models.values()),
            judges=[],
            names=list(models),
            settings=[],
            seed=self._seed,
        )
        return named(f"scored-{name}", made)

    def dpo(
        self, name: str, start: Artifact, comparisons: Sequence[Artifact], by: str = ""
    ) -> Artifact:
        """Wire DPO from ``start``, which is its reference too."""
        made = learn_preferences(
            start=start,
            comparisons=list(comparisons),
            reference=start,
            settings=self.numbers.preference[by or name],
            seed=self._seed,
            stage=StageLabel(name=name, owner=OWNER),
        )
        return self.stage(name, made)

    def merge(
        self, name: str, start: Artifact, models: Mapping[str, Artifact], by: str = ""
    ) -> Artifact:
        """Wire a merge of checkpoints with equal shares, whose weights all come from ``start``."""
        made = merge_checkpoints(
            start=start,
            models=list(models.values()),
            names=list(models),
            settings=self.numbers.merge[by or name],
            seed=self._seed,
            stage=StageLabel(name=name, owner=OWNER),
        )
        return self.stage(name, made)

    def stage(self, name: str, checkpoint: Artifact) -> Artifact:
        """Name a checkpoint as a stage of the recipe."""
        self.stages[name] = named(name, checkpoint)
        return self.stages[name]

    def finish(self) -> Made:
        """Wire the card: every stage on every domain. The last stage is the model."""
        label = recipe_label(system=self.system, scale=self._scale, seed=self._seed)
        checkpoints = list(self.stages.values())
        card = score_recipe(
            label=named("label", label),
            base=self.base,
            stages=checkpoints,
            names=list(self.stages),
            domains=list(self._domains.values()),
            sampling=self.numbers.sampling,
        )
        return Made(checkpoints[-1], named("card", card))
