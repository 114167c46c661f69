"""MiMo-V2-Flash (2601.02780): experts by RL teach one student token by token, beside its reward.

The system: one SFT checkpoint; from it an expert of each domain by RL; then on-policy distillation
of all experts into that checkpoint. The log-ratio to the expert of the prompt's domain is the
advantage, plus a multiple of the reward's; the student itself teaches domains without an expert.

    base =w=> SFT =w=> teacher_d, student;  teacher_d ~t~> student;  SFT ~t~> student ("Self")
    rules ~s~> teacher_d, student

This version leaves out the in-house specialists that wrote the SFT answers, the expert that was
made by SFT, thinking modes, and rubrics.

Lesson: a student that answers by itself and is corrected word by word can keep several experts.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Divergence
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from tasks.supervised.settings import Schedule
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.kit_consolidation import consolidate, release, release_own

EXPERTS = ("add", "sort")
"""ours: domains of the testbed; the source has experts of math, code, search, tools and others."""
OWN = "form"
"""ours: the domain that the student teaches itself; the source has knowledge and writing."""
TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={"sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)},  # ours: testbed
    rl={
        "teacher": RlSettings(
            loop=LoopSettings(num_steps=30, learning_rate=5e-4, rung_every=15),  # ours: testbed
            sampling=SamplingSettings(max_new_tokens=110),
            prompts_per_step=8,
            rollouts_per_prompt=8,
        )
    },
    mopd={
        "mopd": RoundForm(
            mopd_steps=60,  # ours: testbed; figure 6 shows about 50
            learning_rate=3e-4,  # ours: testbed
            divergence=Divergence.SAMPLED_TOKEN,  # stated: eq. 8; ours: at most 5 nats
            normalization=Normalization.SEQUENCE_MEAN,  # stated: 1/|y| (eq. 7)
            outcome_weight=0.3,  # stated: plus alpha times the reward's (eq. 9); ours: which
            rollouts_per_prompt=4,  # ours: a group for the reward's advantage
            prompts_per_domain=8,
            max_new_tokens=120,
        )
    },
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    sft={
        "sft": SftSettings(
            num_steps=2000,  # ours: not stated
            batch_size=128,  # stated: section 4.2
            learning_rate=5e-5,  # stated: section 4.2
            schedule=Schedule.COSINE,  # stated: section 4.2
            final_share=0.1,  # stated: to 5e-6 (section 4.2)
        )
    },
    rl={
        "teacher": RlSettings(  # ours: no number of the experts' RL is stated
            loop=LoopSettings(num_steps=500, learning_rate=1e-6, rung_every=100),
            sampling=SamplingSettings(max_new_tokens=32_768),
            prompts_per_step=64,
            rollouts_per_prompt=8,
        )
    },
    mopd={
        "mopd": RoundForm(
            mopd_steps=50,  # stated: about as many in figure 6
            learning_rate=2e-6,  # ours: not stated
            divergence=Divergence.SAMPLED_TOKEN,
            normalization=Normalization.SEQUENCE_MEAN,
            outcome_weight=0.3,  # ours: alpha is not stated
            rollouts_per_prompt=4,  # ours: not stated
            prompts_per_domain=128,  # ours: not stated
            max_new_tokens=32_768,  # ours: not stated
        )
    },
)
ROWS = table(TINY, PUBLISHED)


@workflow
def mimo_v2_flash(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train experts from one SFT checkpoint and distill them into it on its own answers.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("mimo_v2_flash", scale, seed, ROWS)
    start = run.sft("sft", run.base, run.demonstrations((*EXPERTS, OWN)))
    teachers = []
    for name in EXPERTS:
        run.rl(f"{name}-teacher", start, [run.domain(name)], by="teacher")
        teachers.append(release(run, f"{name}-teacher", name, fork_point=start))
    consolidate(run, "mopd", start, teachers, own=[release_own(run, OWN, start)])
    return run.finish()
