"""GLM-5 (2602.15763): RL in stages, and the run's own earlier checkpoints repair what they lost.

The system: SFT, then reasoning RL, agentic RL and general RL, each from the one before. At the end
the last checkpoint learns token by token from the final checkpoints of earlier stages, each on the
prompts of its own RL.

    base =w=> SFT =w=> reasoning =w=> agentic =w=> general =w=> distilled
    reasoning ~t~> distilled;  general ~t~> distilled;  rules ~s~> each RL stage

Where the student starts is not written; the last checkpoint of general RL is implied. Whether SFT
is a teacher is unclear; here it is none, and agentic RL is not named as one. This version leaves
out asynchronous rollouts, judges, and masked wrong segments in SFT. One domain stands for each
stage of RL; the source's reasoning RL has four.

Lesson: what a later stage forgot is still in an earlier checkpoint, and costs one more short stage.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Divergence
from tasks.onpolicy.settings import ImportanceMask, LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.kit_consolidation import consolidate, release

REASONING, AGENTIC, GENERAL = "add", "tool", "form"
"""ours: a domain of the testbed for each stage."""
POP = ImportanceMask(low=0.5, high=2.0)
"""stated: pop(rho, 1/2, 2) drops tokens by trainer over sampler (section 3, reasoning RL)."""


def _rl(num_steps: int, rate: float, prompts: int, rollouts: int, tokens: int) -> RlSettings:
    # stated: group deviation, no KL, fully on-policy (section 3, reasoning RL)
    return RlSettings(
        loop=LoopSettings(num_steps=num_steps, learning_rate=rate, rung_every=num_steps),
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=prompts,
        rollouts_per_prompt=rollouts,
        importance=POP,
    )


def _distilled(num_steps: int, rate: float, prompts: int, tokens: int) -> RoundForm:
    return RoundForm(
        mopd_steps=num_steps,
        learning_rate=rate,
        divergence=Divergence.SAMPLED_TOKEN,  # stated (via notes): log-ratio as advantage
        rollouts_per_prompt=1,  # stated: groups of 1
        prompts_per_domain=prompts,
        max_new_tokens=tokens,
        # ours: the same window as in RL, which the notes do not repeat
        more_settings={"distil.importance.low": "0.5", "distil.importance.high": "2.0"},
    )


TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={"sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)},  # ours: testbed
    rl={
        "reasoning": _rl(30, 5e-4, 8, 8, 110),  # ours: testbed
        "agentic": _rl(20, 5e-4, 8, 8, 110),  # ours: testbed
        "general": _rl(30, 1e-3, 16, 8, 110),  # ours: a rate at which reasoning is forgotten
    },
    mopd={"distilled": _distilled(30, 3e-4, 16, 120)},  # ours: testbed
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    sft={"sft": SftSettings(num_steps=2000, batch_size=128, learning_rate=1e-5)},  # ours
    rl={
        # stated: groups of 32, a batch of 32, read as prompts; ours: steps and rates (not stated)
        "reasoning": _rl(500, 1e-6, 32, 32, 32_768),
        "agentic": _rl(500, 1e-6, 32, 16, 32_768),
        "general": _rl(500, 1e-6, 32, 16, 32_768),
    },
    # stated: a batch of 1024, of two teachers; ours: steps and rate (not stated)
    mopd={"distilled": _distilled(100, 1e-6, 512, 32_768)},
)
ROWS = table(TINY, PUBLISHED)


@workflow
def glm_5(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train in stages of RL, and distill the run's own earlier checkpoints into the last one.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("glm_5", scale, seed, ROWS)
    start = run.sft("sft", run.base, run.demonstrations((REASONING, AGENTIC, GENERAL)))
    reasoning = run.rl("reasoning", start, [run.domain(REASONING)])
    agentic = run.rl("agentic", reasoning, [run.domain(AGENTIC)])
    general = run.rl("general", agentic, [run.domain(GENERAL)])
    earlier = release(run, "reasoning", REASONING, fork_point=start)
    latest = release(run, "general", GENERAL, fork_point=agentic)
    consolidate(run, "distilled", general, [earlier], own=[latest])
    return run.finish()
