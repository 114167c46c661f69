"""The staged ladder (no published source): distillation through each teacher's own checkpoints.

No paper measures it. Lambert and Timbers name it as an open question (June 2026): converged
teachers, or their intermediate checkpoints in turn? Progressive distillation (Panigrahi et al.,
ICLR 2025) found such a curriculum in other settings. So this graph is derived, not retold:

    base =w=> SFT =w=> rung_d,1 .. teacher_d
    SFT =w=> direct;  teacher_d ~t~> direct
    SFT =w=> ladder;  rung_d ~t~> ladder in its first stages, teacher_d in its last

The gate measures each rung's KL from the student and chooses those that space the stages evenly.
``direct`` is the control: as many steps and prompts, from the converged teachers alone.

Lesson: whether near teachers first are better than the best teacher at once is for you to measure.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.mopd.round_form import RoundForm
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.kit_consolidation import consolidate, release

DOMAINS = ("add", "sort")
"""ours: domains of the testbed with answers of 60 and more tokens."""
NUM_STAGES = 3
"""ours: the fewest in which a rung lies between the first and the teacher."""


def _round(num_stages: int, num_steps: int, rate: float, prompts: int, tokens: int) -> RoundForm:
    return RoundForm(
        ladder_stages=num_stages,
        mopd_steps=num_steps,
        learning_rate=rate,
        prompts_per_domain=prompts,
        max_new_tokens=tokens,
    )


TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={"sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)},  # ours: testbed
    rl={
        "teacher": RlSettings(  # ours: testbed, with a rung at each fifth of the climb
            loop=LoopSettings(num_steps=40, learning_rate=5e-4, rung_every=8),
            sampling=SamplingSettings(max_new_tokens=110),
            prompts_per_step=8,
            rollouts_per_prompt=8,
        )
    },
    mopd={  # ours: testbed
        "direct": _round(1, 30, 3e-4, 12, 120),
        "ladder": _round(NUM_STAGES, 30, 3e-4, 12, 120),
    },
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    # ours: all numbers, of the order of the MOPD paper's (2606.30406)
    sft={"sft": SftSettings(num_steps=2000, batch_size=128, learning_rate=1e-5)},
    rl={
        "teacher": RlSettings(
            loop=LoopSettings(num_steps=150, learning_rate=3e-6, rung_every=25),
            sampling=SamplingSettings(max_new_tokens=32_768),
            prompts_per_step=144,
            rollouts_per_prompt=8,
        )
    },
    mopd={
        "direct": _round(1, 60, 2e-6, 1024, 32_768),
        "ladder": _round(NUM_STAGES, 60, 2e-6, 1024, 32_768),
    },
)
ROWS = table(TINY, PUBLISHED)


@workflow
def staged_ladder(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Distill the same teachers at once and through their intermediate checkpoints.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run, teachers = RecipeRun("staged_ladder", scale, seed, ROWS), []
    start = run.sft("sft", run.base, run.demonstrations(DOMAINS))
    for name in DOMAINS:
        run.rl(f"{name}-teacher", start, [run.domain(name)], by="teacher")
        teachers.append(release(run, f"{name}-teacher", name, fork_point=start))
    for name in ("direct", "ladder"):
        consolidate(run, name, start, teachers)
    return run.finish()
