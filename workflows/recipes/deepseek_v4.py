"""DeepSeek-V4 (2606.19348): experts are distilled with the whole vocabulary, and no RL follows.

The system: for each domain an expert by SFT and GRPO from the base, also one for each reasoning
effort; then one student learns from all of them on its own answers by the exact reverse KL, which
"entirely replaced" the stage of RL on all domains.

    base =w=> SFT_d =w=> expert_d;  student's start =w=> student;  expert_d ~t~> student
    rules ~s~> expert_d

Where the student starts is not stated; here it is an SFT of the base on all domains. This version
leaves out efforts as experts of their own, the actor that judges itself, and FP4.

Lesson: the exact divergence costs a row of the vocabulary per token, and removes the sampling noise
of the teacher's word.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.mopd.round_form import RoundForm
from tasks.mopd.settings import Divergence
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.kit_consolidation import consolidate, owner_of, release

DOMAINS = ("add", "sort", "form")
"""ours: domains of the testbed; the source has more than ten experts."""
TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={  # ours: testbed
        "expert": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5),
        "start": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5),
    },
    rl={
        "expert": RlSettings(  # ours: testbed
            loop=LoopSettings(num_steps=40, learning_rate=3e-4, rung_every=40),
            sampling=SamplingSettings(max_new_tokens=110),
            prompts_per_step=8,
            rollouts_per_prompt=8,
        )
    },
    mopd={
        "distilled": RoundForm(
            mopd_steps=90,  # ours: testbed
            learning_rate=3e-4,  # ours: testbed
            divergence=Divergence.FULL_VOCABULARY,  # stated: section 5.1.2, equation 29
            prompts_per_domain=12,  # ours: testbed; the weights w_i are equal (not stated)
            max_new_tokens=120,
        )
    },
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    # ours: the source states no rate, batch or length of any stage; these are of R1's order
    sft={
        "expert": SftSettings(num_steps=2000, batch_size=128, learning_rate=5e-6),
        "start": SftSettings(num_steps=2000, batch_size=128, learning_rate=5e-6),
    },
    rl={
        "expert": RlSettings(  # ours: as R1's
            loop=LoopSettings(num_steps=300, learning_rate=3e-6, rung_every=100),
            sampling=SamplingSettings(max_new_tokens=32_768),
            prompts_per_step=32,
            rollouts_per_prompt=16,
        )
    },
    mopd={
        "distilled": RoundForm(
            mopd_steps=200,  # ours: not stated
            learning_rate=2e-6,  # ours: as Nemotron 3 Ultra's
            divergence=Divergence.FULL_VOCABULARY,  # stated: section 5.1.2, equation 29
            prompts_per_domain=341,  # ours: not stated
            max_new_tokens=32_768,  # ours: not stated
        )
    },
)
ROWS = table(TINY, PUBLISHED)


@workflow
def deepseek_v4(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train an expert of each domain from the base, and distill all of them exactly.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run, experts = RecipeRun("deepseek_v4", scale, seed, ROWS), []
    for name in DOMAINS:
        data, owner = run.demonstrations([name]), owner_of(name)
        learned = run.sft(f"{name}-sft", run.base, data, by="expert", owner=owner)
        run.rl(f"{name}-expert", learned, [run.domain(name)], by="expert")
        experts.append(release(run, f"{name}-expert", name, fork_point=run.base))
    start = run.sft("start", run.base, run.demonstrations(DOMAINS))
    consolidate(run, "distilled", start, experts)
    return run.finish()
