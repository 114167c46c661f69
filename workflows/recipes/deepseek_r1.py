"""DeepSeek-R1 (2501.12948 v2): what RL finds from the base becomes data for the base, twice.

The system: R1-Zero's readable right answers are the cold start of V3-Base (Dev1); RL on rules and
one language follows (Dev2). Its accepted answers, and data without reasoning, train V3-Base again
(Dev3); RL on all scenarios ends in R1, with preference rewards in its last quarter alone. The same
data train smaller models of other families, without RL.

    base =w=> Zero -d-> Dev1;  base =w=> Dev1 =w=> Dev2 -d-> Dev3, distilled
    base =w=> Dev3 =w=> R1;  small =w=> distilled;  base =w=> RM x 2;  base -d-> RM x 2 ~s~> R1

This version leaves out rewriting by V3 and people, V3 as a judge, rewards for final summaries
alone, and the point-wise safety model, which learns from pairs here as the helpful one does.

Lesson: a small model learns more from a large one's answers than from RL of its own.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.distil_traces.settings import TraceSettings, TraceSource
from tasks.onpolicy.settings import LoopSettings
from tasks.recipe.settings import RecipeNumbers, StudentBase, table
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule, Keep
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.reward_model.settings import RewardModelSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import KlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.terms import FormatTerm, GradeTerm, LanguageTerm, RewardSettings, ScorerTerm
from tasks.sft.settings import SftSettings
from tasks.supervised.settings import Schedule
from workflows.recipes.kit import GOLD, Made, RecipeRun
from workflows.recipes.kit_ppo import clipped
from workflows.recipes.wiring import distilled
from workflows.testbed.small import SMALL

REASONING = ("add", "sort", "form")
"""ours: the testbed's domains with one turn and a grade; the source has math, code, STEM, logic."""
THINKS = FormatTerm(name="format", pattern=r"<think>.*</think>.+", domains=["add", "sort"])
ACCURACY = GradeTerm(name="accuracy", domains=[*REASONING])
# stated: share of words of the language (3.2.1); ours: lower case is one, in sort, and its weight
LANGUAGE = LanguageTerm(name="language", word=r"[^A-Z]+", domains=["sort"], weight=0.1)
LONG = SamplingSettings(max_new_tokens=110)
COLD = {"cold": DemonstrationRule(keep=Keep.CORRECT, per_prompt=1)}  # stated: right; ours: one
SOURCES = TraceSettings(
    sources=[
        TraceSource(name="reasoning", samples_per_prompt=2),  # stated: right ones; ours: two
        # stated: a quarter needs no reasoning
        *(TraceSource(name=name, least_score=None, num_prompts=150) for name in GOLD),
    ]
)
PAIRS = {"pairs": AnnotatorSettings(indifference=0.1)}  # stated: clear ones (3.1); ours: how clear


def _sft(num_steps: int, batch_size: int, learning_rate: float) -> SftSettings:
    return SftSettings(
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=num_steps // 20,
        schedule=Schedule.COSINE,  # stated: B.4.2
        final_share=0.1,  # stated: B.4.2, B.4.3
    )


def _rl(loop: LoopSettings, size: tuple[int, int], tokens: int, last: int) -> dict[str, RlSettings]:
    """Return the stages of RL; preferences count from step ``last`` of the third on."""
    zero = RlSettings(
        loop=loop,
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=size[0],
        rollouts_per_prompt=size[1],
        kl=KlSettings(coefficient=0.001, reset_every=loop.rung_every),  # stated: section 2.1
        rewards=RewardSettings(terms=[ACCURACY, THINKS]),  # stated: the same weight (2.2)
    )
    rules = RewardSettings(terms=[ACCURACY, LANGUAGE])
    # stated: a clip of 10 (section 3.2.1)
    change = {"kl": KlSettings(coefficient=0.001), "rewards": rules, "ratio": clipped(10.0)}
    dev2 = zero.model_copy(update=change)
    preferences = [ScorerTerm(name=name, domains=[name], from_step=last) for name in GOLD]
    change = {
        "rewards": RewardSettings(terms=[ACCURACY, LANGUAGE, *preferences]),
        "sampling": SamplingSettings(max_new_tokens=tokens, temperature=0.7),  # stated: 3.2.2
    }
    return {"zero": zero, "dev2": dev2, "r1": dev2.model_copy(update=change)}


TINY = RecipeNumbers(
    scale=Scale.TINY,
    # ours: lengths, sizes and rates of the testbed
    rl=_rl(LoopSettings(num_steps=30, learning_rate=3e-4, rung_every=10), (4, 8), 110, last=22),
    sft={"dev1": _sft(40, 32, 5e-4), "dev3": _sft(100, 32, 1e-3), "distilled": _sft(400, 32, 2e-3)},
    responses={
        name: ResponseSettings(samples_per_prompt=4, num_prompts=150, sampling=LONG)
        for name in ("cold", "accepted", "pairs")
    },
    demonstrations=COLD,
    traces={"all": SOURCES},
    annotators=PAIRS,
    reward_model={"rm": RewardModelSettings(num_steps=30, learning_rate=5e-4, warmup_steps=2)},
    students={"small": StudentBase(base=SMALL)},
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    # stated: Zero's rate, group, length and 32 questions (2.1), 1,700 steps with preferences in the
    # last 400 (3.2.2); ours: as long for all, 32 of five domains
    rl=_rl(LoopSettings(num_steps=1700, learning_rate=3e-6, rung_every=400), (7, 16), 32_768, 1301),
    sft={
        "dev1": _sft(1000, 128, 5e-5),  # stated: batch, rate (B.4.2); ours: length
        "dev3": _sft(15_600, 128, 5e-5),  # stated: 800,000 rows, 2 to 3 epochs (B.4.2)
        "distilled": _sft(31_250, 64, 5e-5),  # stated: batch, Llama-8B's rate (B.4.3)
    },
    responses={name: ResponseSettings(samples_per_prompt=16) for name in TINY.responses},  # ours
    demonstrations=COLD,
    traces={"all": SOURCES},
    annotators=PAIRS,
    # stated: rate, batch, one epoch of 66,000 pairs (3.1)
    reward_model={"rm": RewardModelSettings(num_steps=258, batch_size=256, learning_rate=6e-6)},
    students={"small": StudentBase(source="meta-llama/Llama-3.1-8B")},  # stated: B.4.3
)
ROWS = table(TINY, PUBLISHED)


@workflow
def deepseek_r1(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Turn what RL finds into data, train the base on it, run RL again, and distil.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("deepseek_r1", scale, seed, ROWS)
    domains = {name: run.domain(name) for name in (*REASONING, *GOLD)}
    graded = [domains[name] for name in REASONING]
    zero = run.rl("zero", run.base, graded)
    cold = run.answers("cold", {"zero": zero}, graded, by="cold")
    dev1 = run.sft("dev1", run.base, [run.selected("cold", [cold])])
    dev2 = run.rl("dev2", dev1, graded)
    accepted = run.answers("accepted", {"dev2": dev2}, graded, by="accepted")
    traces = distilled(run, "all", [accepted, *run.demonstrations(GOLD)])
    run.sft("distilled", run.student("small"), [traces])
    dev3 = run.sft("dev3", run.base, [traces])
    scorers = {}
    for name in GOLD:
        pool = run.answers(name, {"base": run.base}, [domains[name]], by="pairs")
        pairs = run.compared(name, [pool], by="pairs")
        scorers[name] = run.reward_model(name, run.base, [pairs], by="rm")
    run.rl("r1", dev3, list(domains.values()), models=scorers)
    return run.finish()
