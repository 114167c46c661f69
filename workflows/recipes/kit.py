"""What recipes share: training stages by name, and the card at the end; ``kit_data`` has the data.

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
from tasks.recipe.task import finished_policy
from tasks.rejection_sampling.settings import PromptSplit
from tasks.rejection_sampling.task import sample_responses
from tasks.release.task import collect_blend
from tasks.reward_model.task import train_reward_model
from tasks.rl.task import reinforce
from tasks.sft.task import finetune, make_base
from workflows.graph import named
from workflows.recipes.kit_data import OWNER, RecipeData
from workflows.testbed.base import SEED

GOLD = ("helpful", "safe")
"""Domains with a gold score in the place of a grade, on which reward models are watched."""


class Made(NamedTuple):
    """What a recipe leaves behind."""

    model: Artifact
    """The last checkpoint."""
    card: Artifact
    """Scores of all stages, forgetting, drift and cost."""


class RecipeRun(RecipeData):
    """One run of a recipe: its data, and the stages so far."""

    def __init__(self, system: str, scale: Scale, seed: int, rows: Sequence[RecipeNumbers]) -> None:
        """Wire the numbers of the scale, the base, and the data of all domains."""
        super().__init__(system, scale, seed, rows)
        self.stages: dict[str, Artifact] = {}
        """Checkpoints by name, in the order of the recipe; each is on the card."""
        self.reward_models: dict[str, Artifact] = {}
        """Reward models by name; the card shows their scores beside the gold score."""
        self.texts: list[Artifact] = []
        """Held-out text, at most one; the card shows how well each stage predicts it."""
        self.ladders: dict[str, list[Rung]] = {}
        """Ladders of the RL stages by name."""

    @property
    def seed(self) -> int:
        """Seed of all training."""
        return self._seed

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

    def reward_model(
        self,
        name: str,
        start: Artifact,
        comparisons: Sequence[Artifact],
        by: str,
        zero: Sequence[Artifact] = (),
    ) -> Artifact:
        """Wire a reward model from ``start``; ``zero`` are demonstrations that score 0 on average.

        It is no stage of the card, which shows its scores of the stages' answers.
        """
        made = train_reward_model(
            start=start,
            comparisons=list(comparisons),
            demonstrations=list(zero),
            settings=self.numbers.reward_model[by],
            seed=self._seed,
            stage=StageLabel(name=name, owner=OWNER),
        )
        self.reward_models[name] = named(name, made)
        return self.reward_models[name]

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

    def student(self, name: str) -> Artifact:
        """Wire another base, with a tokenizer of its own, on the examples that the base read."""
        blend = named(f"blend-{name}", collect_blend(blend=self._bed.blend, seed=SEED))
        own = self.numbers.students
        made = make_base(source=own[name].source, data=blend, settings=own[name].base, seed=SEED)
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
        checkpoints, names = [self.base, *self.stages.values()], ["base", *self.stages]
        card = score_recipe(
            label=named("label", label),
            stages=checkpoints,
            names=names,
            domains=list(self._domains.values()),
            sampling=self.numbers.sampling,
            watched=[*self._rewarded(checkpoints, names), *self.texts],
        )
        return Made(checkpoints[-1], named("card", card))

    def _rewarded(self, checkpoints: list[Artifact], names: list[str]) -> list[Artifact]:
        """Wire answers of all stages with the scores of all reward models, if there are any."""
        if not self.reward_models:
            return []
        made = sample_responses(
            checkpoints=checkpoints,
            names=names,
            domains=[self.domain(name) for name in GOLD],
            split=PromptSplit.EVALUATION,
            settings=self.numbers.rewarded,
            seed=SEED,
        )
        answers = named("answers-of-stages", made)
        return [self.scored("stages", answers, self.reward_models)]
