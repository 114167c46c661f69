"""Flyte tasks of sampling and of what is selected from responses."""

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain
from tasks.contracts.named import named
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import PairRule
from tasks.rejection_sampling.settings import (
    ComparisonSettings,
    DomainPrompts,
    PromptSplit,
    ResponseSettings,
    VerdictSettings,
)
from tasks.scoring.settings import JudgeSettings, NamedJudge, with_settings


@hosted(Stage.EVALUATION)
def sample_responses(
    checkpoints: list[Artifact],
    names: list[str],
    domains: list[Domain],
    split: PromptSplit,
    settings: ResponseSettings,
    seed: int,
) -> Artifact:
    """Sample K responses to each prompt of the domains from each checkpoint, and keep all."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import sample

    owners = {domain.settings.owner for domain in domains}
    return sample.sample_responses(
        StepRunner(),
        named(checkpoints, names, "checkpoints"),
        [DomainPrompts.of(domain, split) for domain in domains],
        settings,
        seed,
        owners.pop() if len(owners) == 1 else "",
    )


@hosted(Stage.EVALUATION)
def score_responses(
    responses: Artifact,
    reward_models: list[Artifact],
    judges: list[Artifact],
    names: list[str],
    settings: list[JudgeSettings],
    seed: int,
) -> Artifact:
    """Add scores to responses: reward models' first, then judges', named in this order."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import scored

    scorers = named([*reward_models, *judges], names, "scorers")
    return scored.score_responses(
        StepRunner(),
        responses,
        scorers[: len(reward_models)],
        with_settings(scorers[len(reward_models) :], settings),
        seed,
    )


@hosted(Stage.EVALUATION)
def compare_responses(
    responses: list[Artifact],
    judge: Artifact,
    name: str,
    judging: JudgeSettings,
    settings: ComparisonSettings,
    seed: int,
) -> Artifact:
    """Compare two responses to a prompt by a judge, in both orders."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import judged

    own = NamedJudge(name=name, artifact=judge, settings=judging)
    return judged.compare_responses(StepRunner(), responses, own, settings, seed)


@hosted(Stage.COLLECT)
def select_demonstrations(
    responses: list[Artifact], rule: DemonstrationRule, seed: int, owner: str
) -> Artifact:
    """Select demonstrations from responses: best-of-K, all correct, a quota, or at random."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import steps

    return steps.select_demonstrations(StepRunner(), responses, rule, seed, owner)


@hosted(Stage.COLLECT)
def select_pairs(responses: list[Artifact], rule: PairRule, seed: int, owner: str) -> Artifact:
    """Select preference pairs from responses: by a score, or of a strong and a weak sampler."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import steps

    return steps.select_pairs(StepRunner(), responses, rule, seed, owner)


@hosted(Stage.COLLECT)
def select_prompts(domain: Domain, responses: list[Artifact], rule: PromptRule) -> Domain:
    """Return the domain with the training prompts whose pass rate is within a window."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import steps

    own = rule.model_copy(update={"domain": domain.settings.name})
    prompts = steps.select_prompts(StepRunner(), responses, own, domain.settings.owner)
    return domain.model_copy(update={"train": prompts})


@hosted(Stage.COLLECT)
def annotate(
    responses: list[Artifact], settings: AnnotatorSettings, seed: int, owner: str
) -> Artifact:
    """Compare responses as a simulated annotator who prefers a known gold score."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import steps

    return steps.annotate(StepRunner(), responses, settings, seed, owner)


@hosted(Stage.COLLECT)
def write_verdicts(
    responses: list[Artifact], settings: VerdictSettings, seed: int, owner: str
) -> Artifact:
    """Write an annotator's verdicts on responses as demonstrations of a judge."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rejection_sampling import steps

    return steps.write_verdicts(StepRunner(), responses, settings, seed, owner)
