"""DeepSeek-V3.1 (model card, August 2025): one model that thinks or answers at once.

The system: its card says what the model does, and no report says how it was made. Prefix tokens
alone choose the mode: without thinking, the prompt ends with the thoughts already closed. Tools are
called without thinking. So stages, data and numbers are ours, of the systems nearest to it: one
RL stage that learns to think, answers of it with and without their thoughts, and RL in both modes.

    base =w=> thinker;  thinker -d-> answers;  base =w=> SFT on both modes =w=> RL in both modes
    rules ~s~> thinker, answers, RL;  obedience to the mode ~s~> RL

This version leaves out the long-context extension of the base, tools with thinking, and a history
of turns without their thoughts, because the testbed's prompts have none.

Lesson: RL on accuracy alone ends the mode that is right less often; obedience needs a reward.
"""

# ours: no report

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.distil_traces.settings import TraceBalance, TraceSettings, TraceSource
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import KlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import GradeTerm, ModeTerm, RewardSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.wiring import distilled

THINKING = ("add", "sort")
"""ours: the testbed's domains with two modes."""
TOOLS = ("tool",)
"""ours: a domain without thinking, as the card documents tools."""
LONG = SamplingSettings(max_new_tokens=110)
BOTH_MODES = TraceSettings(
    # ours: as many answers with thoughts as without, and as many of tools
    sources=[
        TraceSource(name="thinking", samples_per_prompt=2),
        TraceSource(name="direct", samples_per_prompt=2, strip_thoughts=True),
        TraceSource(name="tools", samples_per_prompt=2),
    ],
    balance=TraceBalance.SAMPLES,
)
OBEDIENT = RewardSettings(terms=[GradeTerm(name="accuracy"), ModeTerm(name="mode")])
"""ours: accuracy and obedience with the same weight."""


def _rl(
    loop: LoopSettings, last: LoopSettings, size: tuple[int, int], tokens: int
) -> dict[str, RlSettings]:
    """Return RL on accuracy, and the last RL, on accuracy and obedience."""
    thinker = RlSettings(
        loop=loop,
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=size[0],
        rollouts_per_prompt=size[1],
        kl=KlSettings(coefficient=0.001),  # ours: as DeepSeek-R1's
    )
    both = thinker.model_copy(update={"rewards": OBEDIENT, "loop": last})
    return {"thinker": thinker, "rl": both}


TINY = RecipeNumbers(
    scale=Scale.TINY,
    # ours: lengths, sizes and rates of the testbed
    rl=_rl(
        LoopSettings(num_steps=40, learning_rate=5e-4, rung_every=20),
        LoopSettings(num_steps=40, learning_rate=1.5e-4, rung_every=20),
        (8, 8),
        110,
    ),
    responses={
        "thinking": ResponseSettings(
            samples_per_prompt=4, num_prompts=400, mode="on", sampling=LONG
        ),
        "tools": ResponseSettings(samples_per_prompt=2, num_prompts=400, sampling=LONG),
    },
    traces={"both-modes": BOTH_MODES},
    sft={"sft": SftSettings(num_steps=120, learning_rate=1e-3, warmup_steps=10)},
)
REPEATED = LoopSettings(num_steps=1700, learning_rate=3e-6, rung_every=400)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    # ours: DeepSeek-R1's numbers
    rl=_rl(REPEATED, REPEATED, (11, 16), 32_768),
    responses={
        "thinking": ResponseSettings(samples_per_prompt=16, mode="on"),
        "tools": ResponseSettings(samples_per_prompt=16),
    },
    traces={"both-modes": BOTH_MODES},
    sft={"sft": SftSettings(num_steps=15_600, batch_size=128, learning_rate=5e-5)},
)
ROWS = table(TINY, PUBLISHED)


@workflow
def deepseek_v31(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Learn to think, learn both modes from the thinker's answers, and reward obedience in RL.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("deepseek_v31", scale, seed, ROWS)
    thinking, tools = [run.domain(name) for name in THINKING], [run.domain(name) for name in TOOLS]
    writer = {"thinker": run.rl("thinker", run.base, [*thinking, *tools])}
    thought = run.answers("thinking", writer, thinking, by="thinking")
    called = run.answers("tools", writer, tools, by="tools")
    traces = distilled(run, "both-modes", [thought, thought, called])
    start = run.sft("sft", run.base, [traces])
    run.rl("rl", start, [*thinking, *tools])
    return run.finish()
