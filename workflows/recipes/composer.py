"""A sum in the style of Composer (2603.24477, and the post on 2.5): RL with a hint on one turn.

The system: continued pre-training of an open model, the last phase of it SFT; then RL in the
product's own harness, without deviation or length in the advantage, with k1 to the start, and a
concave cost of length. In 2.5 the policy, shown a hint at a turn with a mistake, teaches itself
without the hint, on the sampled tokens of that turn alone, in the same gradient.

    base =w=> continued pre-training =w=> SFT =w=> RL;  rules ~s~> RL
    the policy itself with a hint ~t~> the policy, on the located turn (no model of its own)

This version leaves out asynchrony, routing replay, summaries of oneself, and generated tasks. The
mistake is `find WORD` of the testbed's tools, which hardly changes the grade. Direction, weight and
tokens of the term are ours. Beside RL it trains two controls: without the hint (its weight is so
small that it only counts mistakes), and with the hint on random turns.

Lesson: a reward says that an episode failed; a hint says where.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.mid_training.settings import MidTrainingSettings
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rl.hint_settings import HintPlace, HintRule, HintSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import AdvantageScale, AdvantageSettings, KlEstimator, KlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import GradeTerm, LengthForm, LengthTerm, RewardSettings
from tasks.sft.settings import SftSettings
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.wiring import mid_trained

DOMAINS = ("tool", "form")
"""ours: the testbed's agent, and short texts as the rest of the harness."""
# stated (2.5): a list of the tools that exist, at the failed call
RULE = HintRule(pattern="<tool_call>find ", hint="tools: get, +, -", domains=["tool"])
ARMS = {
    "rl-alone": HintSettings(rules=[RULE], weight=1e-9),
    "rl-random": HintSettings(rules=[RULE], place=HintPlace.RANDOM),
    "rl": HintSettings(rules=[RULE]),  # ours: weight 1
}


def _rl(
    loop: LoopSettings, tokens: int, groups: tuple[int, int], kl: float
) -> dict[str, RlSettings]:
    """Return the RL and its two controls."""
    rewards = RewardSettings(
        terms=[
            GradeTerm(name="task"),
            LengthTerm(
                name="length",
                form=LengthForm.CONCAVE,  # stated: concave in tokens, calls and turns (2)
                most_tokens=4 * tokens,
                turn_tokens=4,  # ours
                weight=0.02,  # ours: k, q and weight are not stated
            ),
        ]
    )
    return {
        name: RlSettings(
            loop=loop,
            sampling=SamplingSettings(max_new_tokens=tokens),
            prompts_per_step=groups[0],
            rollouts_per_prompt=groups[1],
            advantage=AdvantageSettings(scale=AdvantageScale.NONE),  # stated: no deviation (2)
            kl=KlSettings(estimator=KlEstimator.K1, coefficient=kl),  # stated: k1 (2); ours: weight
            rewards=rewards,
            hint=hint,
        )
        for name, hint in ARMS.items()
    }


TINY = RecipeNumbers(
    scale=Scale.TINY,
    mid_training={"mid": MidTrainingSettings(num_steps=30, learning_rate=2e-4)},  # ours: testbed
    sft={"sft": SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)},  # ours: testbed
    rl=_rl(
        LoopSettings(
            num_steps=30,
            learning_rate=5e-4,
            rung_every=30,
            normalization=Normalization.TOKEN_MEAN,  # stated: no length standardization (2)
        ),
        *(24, (8, 8), 0.01),
    ),
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    mid_training={
        # stated: 32 K, then 256 K (2); ours: one length, and all numbers
        "mid": MidTrainingSettings(num_steps=10_000, learning_rate=1e-5, row_tokens=32_768)
    },
    sft={"sft": SftSettings(num_steps=2000, batch_size=128, learning_rate=1e-5)},  # ours
    rl=_rl(
        LoopSettings(
            num_steps=2000,
            learning_rate=1e-6,
            rung_every=200,
            normalization=Normalization.TOKEN_MEAN,
        ),
        *(16_384, (64, 16), 0.001),  # ours: not stated
    ),
)
ROWS = table(TINY, PUBLISHED)


@workflow
def composer(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Read on, learn from examples, and run RL with the hint after both controls.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("composer", scale, seed, ROWS)
    read = mid_trained(run, "mid", run.base)
    start = run.sft("sft", read, run.demonstrations(DOMAINS))
    for arm in ARMS:
        run.rl(arm, start, [run.domain(name) for name in DOMAINS])
    return run.finish()
