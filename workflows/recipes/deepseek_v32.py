"""DeepSeek-V3.2 (2512.02556): specialists write the data, and one mixed GRPO closes the gap.

The system: for each of six domains, large-scale RL makes a specialist from one base, thinking and
not. Their answers train the final checkpoint by SFT. One GRPO on reasoning, agents and alignment
ends it: advantages without deviation, an unbiased KL that is weak or zero in mathematics, and no
gradient from a rollout with a negative advantage that the sampler would hardly draw again.

    base =w=> specialist_d;  specialist_d -d-> answers;  base =w=> SFT on them =w=> mixed GRPO
    rules ~s~> specialists, answers, GRPO

This version leaves out two domains, alignment with its generative reward model, the length penalty,
the replay of the sampler's top-p mask (sampling has no top-p), and experts' routing. That the SFT
starts from the base is implied by the source. Prompts have the testbed's modes, thinking on or off.

Lesson: traces bring the skills of several specialists into one model, RL brings their level.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.distil_traces.settings import TraceBalance, TraceSettings, TraceSource
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import (
    AdvantageScale,
    AdvantageSettings,
    ClipSettings,
    KlEstimator,
    KlSettings,
    RatioBase,
    RatioSettings,
)
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import GradeTerm, LanguageTerm, RewardSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.wiring import distilled

DOMAINS = ("add", "sort", "form", "tool")
"""ours: mathematics, logic, writing and agent of the testbed; the source has six."""
ONE_CASE = "(<think>)?[^a-z]*(</think>)?[^a-z]*|[^A-Z]*"
"""ours: the testbed's two languages are the cases of letters."""
TRACES = TraceSettings(
    sources=[
        TraceSource(name=name, domain=name, samples_per_prompt=2)  # ours: right answers, two each
        for name in DOMAINS
    ],
    balance=TraceBalance.SAMPLES,  # ours: not stated
)


def _rl(loop: LoopSettings, tokens: int, prompts: int, rollouts: int, delta: float) -> RlSettings:
    return RlSettings(
        loop=loop,
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=prompts,
        rollouts_per_prompt=rollouts,
        advantage=AdvantageSettings(scale=AdvantageScale.NONE),  # stated: section 3.1
        ratio=RatioSettings(
            base=RatioBase.OLD,
            clip=ClipSettings(),  # ours: 0.2, not stated
            negative_mask=delta,  # stated: the mask (section 3.1); ours: its bound
        ),
        kl=KlSettings(
            estimator=KlEstimator.CORRECTED_K3,  # stated: section 3.1
            coefficient=0.001,  # ours: not stated
            # stated: weak or zero for mathematics (section 3.1)
            domains={"add": 0.0},
        ),
        rewards=RewardSettings(
            terms=[
                GradeTerm(name="rules"),  # stated: rules (section 3)
                # stated: language consistency (section 3); ours: a small weight
                LanguageTerm(name="language", domains=["sort"], word=ONE_CASE, weight=0.1),
            ]
        ),
    )


def _specialist(loop: LoopSettings, tokens: int, prompts: int, rollouts: int) -> RlSettings:
    return RlSettings(
        loop=loop,
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=prompts,
        rollouts_per_prompt=rollouts,
        advantage=AdvantageSettings(scale=AdvantageScale.NONE),  # stated: section 3.1
    )


TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={"distilled": SftSettings(num_steps=120, learning_rate=1e-3, warmup_steps=10)},  # ours
    rl={
        # ours: the testbed's length and rate; two updates a step, so that some are off-policy
        "specialist": _specialist(
            LoopSettings(num_steps=30, learning_rate=5e-4, rung_every=30), 110, 8, 8
        ),
        "mixed": _rl(
            LoopSettings(num_steps=30, learning_rate=1.5e-4, rung_every=30, inner_updates=2),
            *(110, 8, 8),
            delta=0.02,
        ),
    },
    responses={
        "traces": ResponseSettings(
            samples_per_prompt=4, num_prompts=250, sampling=SamplingSettings(max_new_tokens=110)
        )
    },
    traces={"traces": TRACES},
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    sft={"distilled": SftSettings(num_steps=10_000, batch_size=128, learning_rate=5e-6)},  # ours
    rl={
        # ours: numbers of R1, because none is stated but "thousands of steps" of the mixed stage
        "specialist": _specialist(
            LoopSettings(num_steps=2000, learning_rate=3e-6, rung_every=500), 32_768, 32, 16
        ),
        "mixed": _rl(
            LoopSettings(num_steps=3000, learning_rate=3e-6, rung_every=500, inner_updates=16),
            *(32_768, 8, 16),
            delta=0.1,
        ),
    },
    responses={"traces": ResponseSettings(samples_per_prompt=16)},  # ours: not stated
    traces={"traces": TRACES},
)
ROWS = table(TINY, PUBLISHED)


@workflow
def deepseek_v32(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train specialists from the base, distil their answers, and end with one mixed RL.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run, written = RecipeRun("deepseek_v32", scale, seed, ROWS), []
    for name in DOMAINS:
        domain, stage = run.domain(name), f"{name}-specialist"
        specialist = run.rl(stage, run.base, [domain], by="specialist")
        written.append(run.answers(name, {stage: specialist}, [domain], by="traces"))
    student = run.sft("distilled", run.base, [distilled(run, "traces", written)])
    run.rl("mixed", student, [run.domain(name) for name in DOMAINS])
    return run.finish()
