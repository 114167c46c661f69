"""OLMo 3 Think (2512.13961): a soup of SFT, delta pairs without a judge, RL on filtered prompts.

The system: SFT with two learning rates, averaged; DPO, normalized by length, on pairs of a stronger
and a weaker model's answers that nobody compared; GRPO from there, on prompts that this very
checkpoint solves sometimes.

    base =w=> SFT x 2 =w=> soup =w=> DPO =w=> RL
    strong, weak -d-> DPO;  soup ~k~> DPO;  DPO ~s~> prompts of RL;  rules ~s~> RL

This version leaves out the Instruct branch, chat with a judge, and code. The pairs' stronger model
is the base after RL (the source has a model 50 times larger), the weaker one the base.

Lesson: a pair can teach what neither of its sides could as a demonstration.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.merge.settings import SoupSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.preference.settings import PreferenceSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import Pairing, PairRule
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import AdvantageScale, AdvantageSettings, GroupSettings, ZeroVariance
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun

DOMAINS = ("add", "sort", "form")
"""ours: the testbed's domains with one turn and a grade; the source has math, code, IF and chat."""
# stated: no division by the deviation, groups without variance sampled again (section 4.4.1)
NO_DEVIATION = AdvantageSettings(scale=AdvantageScale.NONE)
REFILLED = GroupSettings(zero_variance=ZeroVariance.REFILL, refill_rounds=2)
DELTA = PairRule(pairing=Pairing.DELTA, strong="strong", weak="base", max_length_gap=100)
"""stated: chosen by the stronger, rejected by the weaker, no judge (section 4.3); ours: a gap of at
most 100 tokens."""
PASSES = PromptRule(most_pass_rate=0.625, keep_never_solved=True)
"""stated: 8 rollouts, prompts above a pass rate of 62.5 % dropped (section 4.4.2)."""
TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft={
        # stated: two learning rates, one half of the other (32B: 1e-4 and 5e-5, table 47)
        "high": SftSettings(num_steps=40, learning_rate=1e-3, warmup_steps=5),
        "low": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5),
    },
    merge={"soup": SoupSettings()},  # stated: linear; ours: equal weights (not stated)
    rl={
        "strong": RlSettings(  # ours: in the place of Qwen3-32B
            loop=LoopSettings(num_steps=30, learning_rate=5e-4, rung_every=30),
            sampling=SamplingSettings(max_new_tokens=110),
            prompts_per_step=4,
            rollouts_per_prompt=8,
        ),
        "rl": RlSettings(
            loop=LoopSettings(num_steps=20, learning_rate=3e-4, rung_every=20),  # ours: testbed
            sampling=SamplingSettings(max_new_tokens=110),
            prompts_per_step=4,
            rollouts_per_prompt=8,  # stated: 8 (section 4.4)
            advantage=NO_DEVIATION,
            groups=REFILLED,
        ),
    },
    responses={
        "delta": ResponseSettings(samples_per_prompt=1, num_prompts=200),
        "passes": ResponseSettings(samples_per_prompt=8, num_prompts=150),
    },
    pairs={"delta": DELTA},
    prompts={"passes": PASSES},
    preference={
        "dpo": PreferenceSettings(
            num_steps=40,
            batch_size=16,
            learning_rate=4e-4,  # ours: the testbed's scale
            warmup_steps=4,
            beta=5.0,  # stated: A.6.2
            length_normalized=True,  # stated: A.6.2
        )
    },
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    sft={
        "high": SftSettings(num_steps=11_000, batch_size=128, learning_rate=1e-4),  # stated: rate
        "low": SftSettings(num_steps=11_000, batch_size=128, learning_rate=5e-5),  # stated: rate
    },
    merge={"soup": SoupSettings()},
    rl={
        "strong": RlSettings(
            loop=LoopSettings(num_steps=1000, learning_rate=1e-6, rung_every=500),  # ours
            sampling=SamplingSettings(max_new_tokens=16_384),
            prompts_per_step=21,
            rollouts_per_prompt=8,
        ),
        "rl": RlSettings(
            loop=LoopSettings(num_steps=1000, learning_rate=1e-6, rung_every=100),  # ours: length
            sampling=SamplingSettings(max_new_tokens=32_768),
            prompts_per_step=21,  # stated: 64 in all; ours: of three domains
            rollouts_per_prompt=8,
            advantage=NO_DEVIATION,
            groups=REFILLED,
        ),
    },
    responses={
        "delta": ResponseSettings(samples_per_prompt=1),
        "passes": ResponseSettings(samples_per_prompt=8),
    },
    pairs={"delta": DELTA},
    prompts={"passes": PASSES},
    preference={
        "dpo": PreferenceSettings(
            num_steps=1560,  # stated: 200,000 pairs, one epoch, batches of 128 (table 48)
            batch_size=128,
            learning_rate=7e-8,  # stated: table 48, 32B
            warmup_steps=156,  # stated: 0.1
            beta=5.0,
            length_normalized=True,
        )
    },
)
ROWS = table(TINY, PUBLISHED)


@workflow
def olmo_3(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Average two SFT runs, learn from delta pairs, and end with RL on prompts of medium rate.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("olmo_3", scale, seed, ROWS)
    domains = [run.domain(name) for name in DOMAINS]
    strong = run.rl("strong", run.base, domains)
    supervised = {
        name: run.sft(name, run.base, run.demonstrations(DOMAINS)) for name in ("high", "low")
    }
    soup = run.merge("soup", run.base, supervised)
    written = run.answers("delta", {"strong": strong, "base": run.base}, domains, by="delta")
    aligned = run.dpo("dpo", soup, [run.pairs("delta", [written])])
    chosen = []
    for name, domain in zip(DOMAINS, domains, strict=True):
        tried = run.answers(f"passes-{name}", {"dpo": aligned}, [domain], by="passes")
        chosen.append(run.filtered(name, tried, by="passes"))
    run.rl("rl", aligned, chosen)
    return run.finish()
