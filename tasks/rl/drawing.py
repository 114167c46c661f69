"""What a run samples: the prompts of its domains, under one limit of tokens after the other."""

from collections.abc import Mapping

from lineage.store.store import Store
from tasks.model.files import Policy
from tasks.onpolicy.distributed.ahead import AheadDraws, AheadPlayer, AheadStage, player_of_run
from tasks.rl.run_spec import RunSpec
from tasks.rl.source import Draws, StagedDraws
from tasks.rollout.domains import DomainShare, Mixture, make_player, stored_prompts
from tasks.rollout.worker.client import EnvironmentWorker


def draws_of(
    store: Store, spec: RunSpec, policy: Policy, workers: Mapping[str, EnvironmentWorker]
) -> Draws:
    """Return what draws the rollouts of a run.

    Raises:
        RefusedError: if a prompt does not fit into the model, whatever step would draw it.
    """
    settings = spec.settings
    shares = [
        DomainShare(
            domain.name,
            stored_prompts(store, domain.train),
            settings.prompts_of(domain.name),
        )
        for domain in spec.domains
    ]
    stages: list[tuple[int, Draws]] = []
    ahead: list[AheadStage] = []
    for first in (1, *(stage.from_step for stage in settings.lengths)):
        cap = {"max_new_tokens": settings.max_new_tokens(first)}
        sampling = settings.sampling.model_copy(update=cap)
        alone = make_player(workers, policy, sampling, spec.system_prompt)
        player = player_of_run(alone, policy.model, sampling, settings.loop.staleness)
        mixture = Mixture(player, shares, settings.rollouts_per_prompt, spec.seed)
        stages.append((first, mixture))
        if isinstance(player, AheadPlayer):
            ahead.append(AheadStage(first, mixture, player))
    if ahead:
        return AheadDraws(ahead)
    return stages[0][1] if len(stages) == 1 else StagedDraws(stages)
