"""Kimi K2.5 (2602.02276): a base that sees, SFT on text alone, and RL on text and images together.

The system: text and images are trained jointly from the beginning; SFT has no image (zero-vision);
RL on images by outcome wakes what the base saw, and gives traces; RL on both then groups domains by
ability, not by modality. The objective masks tokens by their ratio whatever the advantage's sign,
and adds a squared log-ratio. Toggle alternates phases with and without a budget of tokens.

    base (text and images) =w=> SFT (text) =w=> visual RL =w=> RFT =w=> joint RL
    visual RL -d-> RFT;  rules ~s~> visual RL, RFT, joint RL

This version leaves out the generative reward model, agent swarms (PARL), MuonClip, and all visual
tasks but one: a row of colors in a picture. Its base is the testbed's with a vision tower (LLaVA),
trained on examples of both; where the RFT traces are learned is not written. No number is stated.

Lesson: RL wakes a sense that SFT never used, where the base had it.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import (
    AdvantageScale,
    AdvantageSettings,
    ClipRule,
    ClipSettings,
    RatioBase,
    RatioSettings,
)
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import GradeTerm, RewardSettings, ToggleSettings
from tasks.sft.settings import ImageBaseSettings, SftSettings, TowerSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.wiring import give_sight

TEXT, IMAGES = ("add", "sort", "form"), "grid"
"""ours: of the testbed; the source groups domains as knowledge, reasoning, coding and agents."""
SOLVABLE = {"solvable": PromptRule(keep_always_solved=True)}
"""ours: prompts that are solved at times, as Toggle's budgets are lengths of right responses."""
RFT = {"rft": DemonstrationRule(keep=Keep.CORRECT, per_prompt=2)}
"""ours: right traces, two to a prompt."""
TOWER = {"image_size": 336, "patch_size": 14, "num_layers": 24, "num_heads": 16}


def _rl(loop: tuple[int, float], groups: tuple[int, int], tokens: int, toggle: int) -> RlSettings:
    """Return RL by (steps, rate) and (prompts of a domain, rollouts)."""
    return RlSettings(
        loop=LoopSettings(
            num_steps=loop[0],
            learning_rate=loop[1],
            rung_every=loop[0],
            normalization=Normalization.GLOBAL_BATCH,  # stated: tokens of the batch (equation 1)
            inner_updates=2,  # ours
        ),
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=groups[0],
        rollouts_per_prompt=groups[1],
        advantage=AdvantageSettings(scale=AdvantageScale.NONE),  # stated: r - mean (equation 1)
        ratio=RatioSettings(
            base=RatioBase.OLD,
            clip=ClipSettings(rule=ClipRule.SIGN_FREE),  # stated: whatever the sign; ours: bounds
            squared_log=0.01,  # stated: the term (equation 1); ours: its weight
        ),
        rewards=RewardSettings(
            terms=[GradeTerm(name="outcome")],
            # stated: phases with a budget (section 4); ours: their length and all values
            toggle=ToggleSettings(every=toggle) if toggle else None,
        ),
    )


def _sampled(prompts: int, samples: int, tokens: int) -> ResponseSettings:
    sampling = SamplingSettings(max_new_tokens=tokens)
    return ResponseSettings(num_prompts=prompts, samples_per_prompt=samples, sampling=sampling)


TINY = RecipeNumbers(
    scale=Scale.TINY,
    image_base={
        "see": ImageBaseSettings(
            # ours: a cell of the picture is a patch
            tower=TowerSettings(hidden_size=64, num_heads=4, feed_forward_size=128),
            training=SftSettings(num_steps=400, learning_rate=2e-3, warmup_steps=20),
        )
    },
    sft={
        "sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5),  # ours: testbed
        "rft": SftSettings(num_steps=30, learning_rate=5e-4, warmup_steps=5),  # ours: testbed
    },
    rl={
        "visual": _rl((20, 5e-4), (8, 8), 12, 0),  # ours: testbed
        "joint": _rl((24, 3e-4), (4, 8), 110, 4),  # ours: testbed
        "untoggled": _rl((24, 3e-4), (4, 8), 110, 0),
    },
    # ours: few prompts are tried, so that each comes again in RL and meets its budget
    responses={"tried": _sampled(24, 4, 110), "rft": _sampled(200, 4, 12)},
    demonstrations=RFT,
    prompts=SOLVABLE,
)
PUBLISHED = RecipeNumbers(  # ours: no number is stated
    scale=Scale.PUBLISHED,
    image_base={
        "see": ImageBaseSettings(
            tower=TowerSettings(hidden_size=1024, feed_forward_size=4096, **TOWER),
            training=SftSettings(num_steps=50_000, batch_size=512, learning_rate=2e-5),
        )
    },
    sft={
        "sft": SftSettings(num_steps=4000, batch_size=128, learning_rate=1e-5),
        "rft": SftSettings(num_steps=1000, batch_size=128, learning_rate=1e-5),
    },
    rl={
        "visual": _rl((500, 1e-6), (64, 16), 8192, 0),
        "joint": _rl((1000, 1e-6), (16, 16), 32_768, 50),
        "untoggled": _rl((1000, 1e-6), (16, 16), 32_768, 0),
    },
    responses={"tried": _sampled(0, 8, 32_768), "rft": _sampled(0, 8, 8192)},
    demonstrations=RFT,
    prompts=SOLVABLE,
)
ROWS = table(TINY, PUBLISHED)


@workflow
def kimi_k25(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Make a base that sees, teach it by text alone, and run RL on images, then on both.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("kimi_k25", scale, seed, ROWS)
    give_sight(run, "see", TEXT)
    pictures = run.domain(IMAGES)
    supervised = run.sft("sft", run.base, run.demonstrations(TEXT))
    visual = run.rl("visual", supervised, [pictures])
    traces = run.answers("rft", {"visual": visual}, [pictures], by="rft")
    tuned = run.sft("rft", visual, [run.selected("rft", [traces])])
    both = [pictures]
    for name in TEXT:
        tried = run.answers(f"tried-{name}", {"rft": tuned}, [run.domain(name)], by="tried")
        both.append(run.filtered(name, tried, by="solvable"))
    run.rl("untoggled", tuned, both)
    run.rl("joint", tuned, both)
    return run.finish()
