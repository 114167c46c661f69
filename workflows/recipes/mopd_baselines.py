"""The baselines of the MOPD paper (2606.30406): what MOPD has to beat, from the same teachers.

The paper, beside MOPD: teachers by RL from one SFT checkpoint; RL on all domains at once (Mix-RL);
RL on one domain after another (Cascade RL); SFT on the teachers' traces (off-policy); the average
of the teachers' weights, and task arithmetic.

    base =w=> SFT =w=> teacher_d, mix;  teacher_1 =w=> cascade_2 =w=> cascade_3
    teacher_d -d-> off-policy;  SFT =w=> off-policy;  teacher_d =w=> average, task arithmetic

This version leaves out MOPD itself (`provost run consolidation`), dynamic sampling for every arm,
and the tuning of the arithmetic's weight. Budgets are equal by prompts times rollouts.

Lesson: in a cascade the domain that was trained first pays for the ones behind it.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.merge.settings import MergeMethod, SoupSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun

DOMAINS = ("form", "add", "sort")
"""stated (via notes): instructions, then math, then SWE in the cascade; ours: the testbed's."""
CORRECT = DemonstrationRule(keep=Keep.CORRECT, per_prompt=2)
"""ours: right traces, two to a prompt; the filter is not stated."""


def _rl(num_steps: int, rate: float, prompts: int, rollouts: int, tokens: int) -> RlSettings:
    return RlSettings(
        loop=LoopSettings(num_steps=num_steps, learning_rate=rate, rung_every=num_steps),
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=prompts,
        rollouts_per_prompt=rollouts,
    )


MERGES = {
    "average": SoupSettings(),
    # stated (via notes): start plus a multiple of the sum; ours: the weight (not stated)
    "arithmetic": SoupSettings(method=MergeMethod.TASK_ARITHMETIC, weight=0.7),
}
TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={
        "sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5),  # ours: testbed
        "off-policy": SftSettings(num_steps=120, learning_rate=5e-4, warmup_steps=10),  # ours
    },
    rl={
        # ours: the testbed's; a step of the mix has as many rollouts as three steps of a teacher
        "teacher": _rl(30, 3e-4, 8, 8, 110),
        "mix": _rl(30, 3e-4, 8, 8, 110),
    },
    merge=MERGES,
    responses={
        "traces": ResponseSettings(
            samples_per_prompt=4, num_prompts=300, sampling=SamplingSettings(max_new_tokens=110)
        )
    },
    demonstrations={"traces": CORRECT},
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    sft={
        "sft": SftSettings(num_steps=2000, batch_size=128, learning_rate=1e-5),  # ours: not stated
        "off-policy": SftSettings(num_steps=2000, batch_size=128, learning_rate=1e-5),  # ours
    },
    rl={
        # stated (via notes): 3e-6, 144 x 8, 175,000 rollouts
        "teacher": _rl(152, 3e-6, 144, 8, 32_768),
        # stated (via notes): 4e-6, 256 x 8 at 0.35:0.35:0.30; ours: equal thirds, 500,000 rollouts
        "mix": _rl(244, 4e-6, 85, 8, 32_768),
    },
    merge=MERGES,
    responses={"traces": ResponseSettings(samples_per_prompt=4)},  # ours: not stated
    demonstrations={"traces": CORRECT},
)
ROWS = table(TINY, PUBLISHED)


@workflow
def mopd_baselines(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train the teachers, and from them or beside them each baseline; Mix-RL is the model.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("mopd_baselines", scale, seed, ROWS)
    start = run.sft("sft", run.base, run.demonstrations(DOMAINS))
    teachers, traces = {}, []
    for name in DOMAINS:
        domain = run.domain(name)
        teachers[name] = run.rl(f"{name}-teacher", start, [domain], by="teacher")
        traces.append(run.answers(name, {name: teachers[name]}, [domain], by="traces"))
    run.sft("off-policy", start, [run.selected("traces", traces)])
    run.merge("average", start, teachers)
    run.merge("arithmetic", start, teachers)
    cascade = teachers[DOMAINS[0]]  # the cascade's first stage is that teacher
    for number, name in enumerate(DOMAINS[1:], start=2):
        cascade = run.rl(f"cascade-{number}-{name}", cascade, [run.domain(name)], by="teacher")
    run.rl("mix", start, [run.domain(name) for name in DOMAINS])
    return run.finish()
