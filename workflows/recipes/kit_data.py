"""The data sets of a recipe: prompts and demonstrations of the testbed, and what models write.

Everything here is wired inside a ``@workflow``: artifacts and numbers are promises.
"""

from collections.abc import Mapping, Sequence

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain, DomainSettings
from tasks.contracts.scale import Scale
from tasks.recipe.settings import RecipeNumbers
from tasks.recipe.task import numbers_at
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
from tasks.sft.task import make_text
from workflows.graph import named
from workflows.testbed.base import DOMAINS, SEED, lay, package_of

OWNER = "recipes"
"""Owner of what a recipe makes."""


NUM_HELD_OUT = 400
"""ours: documents by which the card measures what is kept of the pre-training."""


class RecipeData:
    """Numbers, base and domains of one run of a recipe, and its data sets.

    Data does not depend on the recipe's seed, so all recipes and seeds train on the same prompts,
    and each is measured on every domain, whether it trains on it or not.
    """

    def __init__(self, system: str, scale: Scale, seed: int, rows: Sequence[RecipeNumbers]) -> None:
        """Wire the numbers of the scale, the base, and the data of all domains."""
        self.system, self._scale, self._seed = system, scale, seed
        self.numbers: RecipeNumbers = named("numbers", numbers_at(scale=scale, rows=list(rows)))
        self._bed, self.base = lay(scale)
        self._domains: dict[str, Domain] = {}
        for place, domain in enumerate(DOMAINS):
            self.collect(domain, place)

    def collect(self, domain: DomainSettings, place: int) -> None:
        """Wire the data of a domain at a place of the testbed's; every stage is measured on it."""
        made = collect_domain(
            package=package_of(domain), settings=self._bed.domains[place], seed=SEED
        )
        self._domains[domain.name] = named(f"collect-{domain.name}", made)

    def domain(self, name: str) -> Domain:
        """Return a domain of the testbed."""
        return self._domains[name]

    def demonstrations(self, names: Sequence[str]) -> list[Artifact]:
        """Return the demonstrations of domains; a promise of a part serves one task."""
        return [self._domains[name].demonstrations for name in names]

    def other_text(self) -> Artifact:
        """Wire documents of the same kind that no stage reads."""
        made = make_text(num_documents=NUM_HELD_OUT, seed=SEED + 2)
        return named("text-held-out", made)

    def text(self) -> Artifact:
        """Wire documents such as the base read before its worked examples."""
        made = make_text(num_documents=self._bed.base.num_documents, seed=SEED)
        return named("text", made)

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
