"""Nemotron 3 Super (report and configurations): two losses of SFT, then six RL stages in a row.

The system: SFT with the mean over tokens, then with the mean over conversations; RL with verifiable
rewards three times, on all environments in every batch; two RL stages for software, one step and
whole episodes; at last RL from a generative reward model, the only stage with a KL. Prompts that
the SFT model always solves are dropped. Weights go from stage to stage.

    base =w=> SFT (tokens) =w=> SFT (rows) =w=> RLVR 1 =w=> 2 =w=> 3 =w=> SWE 1 =w=> 2 =w=> RLHF
    SFT ~s~> prompts of RLVR;  rules ~s~> RLVR, SWE;  GenRM ~s~> RLVR, RLHF

This version leaves out the SFT on cut thoughts, stored trajectories as prompts of SWE 1, the order
by difficulty, efforts, MTP, and two clips that never act: 50 is beyond any advantage of a group of
16, and `force_on_policy_ratio` makes the ratio 1. The GenRM is the base after SFT on verdicts of a
simulated annotator on single responses; the source's compares two.

Lesson: one domain after another forgets; all of them in every batch do not.
"""

from flytekit import workflow

from tasks.contracts.scale import Scale
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings, Normalization
from tasks.recipe.settings import RecipeNumbers, table
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.settings import ResponseSettings, VerdictSettings
from tasks.rl.settings import RlSettings
from tasks.rl.variants import AdvantageBaseline, AdvantageSettings, GroupSettings, KlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.settings import JudgeSettings
from tasks.scoring.terms import GradeTerm, RewardSettings, ScorerTerm
from tasks.sft.settings import LossMean, SftSettings
from tasks.supervised.settings import Schedule
from workflows.recipes.kit import Made, RecipeRun
from workflows.recipes.wiring import judge

VERIFIABLE, JUDGED = ("add", "sort", "form", "tool"), ("helpful", "safe")
"""ours: all of the testbed; the source has 21 environments, of which some ask the GenRM."""
JUDGING = JudgeSettings(
    rubric="Rate.",
    score_template="{rubric} {prompt} | {response}",  # ours: the testbed reads few words
    sampling=SamplingSettings(max_new_tokens=12),
)
LONG = SamplingSettings(max_new_tokens=110)
GRADED_AND_JUDGED = {"rlvr": (VERIFIABLE, ("helpful",)), "rlhf": (("tool",), JUDGED)}
RLVR = {"rlvr": PromptRule(keep_never_solved=True)}
"""stated: prompts that the SFT model always solves are dropped."""


def _rl(loop: tuple[int, float], groups: tuple[int, int], tokens: int, by: str = "") -> RlSettings:
    """Return a stage by (steps, rate) and (prompts of a domain, rollouts)."""
    graded, judged = GRADED_AND_JUDGED.get(by, ((), ()))
    rewards = RewardSettings(
        terms=[
            GradeTerm(name="rules", domains=[*graded]),
            ScorerTerm(name="genrm", judge=JUDGING, domains=[*judged]),
        ]
    )
    return RlSettings(
        loop=LoopSettings(
            num_steps=loop[0],
            learning_rate=loop[1],
            rung_every=loop[0],
            normalization=Normalization.TOKEN_MEAN,  # stated: token-level
        ),
        sampling=SamplingSettings(max_new_tokens=tokens),
        prompts_per_step=groups[0],
        rollouts_per_prompt=groups[1],
        importance=ImportanceMask(correction=Correction.TRUNCATE),  # stated: TIS, cap 5
        advantage=AdvantageSettings(baseline=AdvantageBaseline.LEAVE_ONE_OUT),  # stated
        rewards=rewards if by else None,
    )


# stated: overlong filtering in SWE 1; a KL of 1e-4 in RLHF and none elsewhere
FILTERED = {"groups": GroupSettings.model_validate({"overlong": {"rule": "filter"}})}
HELD = {"kl": KlSettings(coefficient=1e-4)}


def _sft(rate: float, batch: int, warmup: int, *steps: int) -> dict[str, SftSettings]:
    means = {"tokens": LossMean.TOKENS, "rows": LossMean.ROWS, "genrm": LossMean.TOKENS}
    return {
        name: SftSettings(
            num_steps=num_steps,
            batch_size=batch,
            learning_rate=rate,
            warmup_steps=warmup,
            schedule=Schedule.CONSTANT,  # stated
            loss_mean=mean,
        )
        for (name, mean), num_steps in zip(means.items(), steps, strict=True)
    }


TINY = RecipeNumbers(
    scale=Scale.TINY,
    sft=_sft(5e-4, 32, 5, 40, 20, 150),  # ours: testbed
    rl={
        # ours: steps, rates and groups of the testbed, of five, one and three domains
        "rlvr": _rl((8, 4e-4), (3, 8), 110, "rlvr"),
        "swe-1": _rl((10, 3e-4), (8, 8), 48).model_copy(update=FILTERED),
        "swe-2": _rl((10, 3e-4), (4, 16), 96),
        "rlhf": _rl((12, 3e-4), (3, 8), 96, "rlhf").model_copy(update=HELD),
    },
    responses={"tried": ResponseSettings(samples_per_prompt=4, num_prompts=100, sampling=LONG)},
    prompts=RLVR,
    verdicts={"genrm": VerdictSettings(judging=JUDGING)},
)
PUBLISHED = RecipeNumbers(
    scale=Scale.PUBLISHED,
    # stated: more than 7 M samples, batches of 64, 1e-5, 30,000 of warm-up; ours: the division
    sft=_sft(1e-5, 64, 469, 100_000, 10_000, 2000),
    rl={
        # stated: 256 x 16, 3e-6, up to 65 K tokens; ours: of five domains, and steps
        "rlvr": _rl((200, 3e-6), (51, 16), 65_536, "rlvr"),
        "swe-1": _rl((200, 1e-6), (64, 16), 131_072).model_copy(update=FILTERED),  # stated
        "swe-2": _rl((200, 1e-6), (16, 32), 196_608),  # stated
        # stated: 128 x 16, 49 K tokens, 1e-6; ours: of three domains
        "rlhf": _rl((200, 1e-6), (42, 16), 49_152, "rlhf").model_copy(update=HELD),
    },
    responses={"tried": ResponseSettings(samples_per_prompt=8)},  # ours: not stated
    prompts=RLVR,
    verdicts={"genrm": VerdictSettings(judging=JUDGING)},
)
ROWS = table(TINY, PUBLISHED)


@workflow
def nemotron_3_super(scale: Scale = Scale.TINY, seed: int = 0) -> Made:
    """Train by two losses, then by six stages of RL, each from the one before.

    Args:
        scale: micro for a test of all stages, tiny for two cores, published for a cluster.
        seed: Random seed of training.
    """
    run = RecipeRun("nemotron_3_super", scale, seed, ROWS)
    every, judged = (*VERIFIABLE, *JUDGED), [run.domain(name) for name in JUDGED]
    written = run.answers("judged", {"base": run.base}, judged, by="tried")
    models = {"genrm": judge(run, "genrm", run.base, [written])}
    policy = run.sft("tokens", run.base, run.demonstrations(every))
    policy = run.sft("rows", policy, run.demonstrations(every))
    mixed = [run.domain("helpful")]
    for name in VERIFIABLE:
        tried = run.answers(f"solved-{name}", {"rows": policy}, [run.domain(name)], by="tried")
        mixed.append(run.filtered(name, tried, by="rlvr"))
    for number in (1, 2, 3):
        policy = run.rl(f"rlvr-{number}", policy, mixed, by="rlvr", models=models)
    for number in (1, 2):
        policy = run.rl(f"swe-{number}", policy, [run.domain("tool")])
    run.rl("rlhf", policy, [*judged, run.domain("tool")], models=models)
    return run.finish()
