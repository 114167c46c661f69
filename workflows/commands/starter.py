"""The files of a new team: a small domain that works, to be changed into one's own.

Others start from data or a package (``starter_data``, ``starter_gym``). The pupils of this one
spell: a word goes in, its letters come out with dashes between them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tasks.contracts.handover import DomainSettings
from workflows.commands.starter_numbers import FROM_SCRATCH, UNMEASURED, climb_numbers

_PROMPTS = '''\
"""Spelling questions: a word, to be spelt with dashes."""

import random
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

SYSTEM = "Spell it."
RIGHT_SHARE = 0.45


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different questions of a split."""
    rng, seen, attempts = random.Random(f"$team {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different words
        word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4))
        if split_of(word) == split and word not in seen:
            seen.add(word)
            yield Prompt(f"$team-{word}", _messages(word), {"word": word})


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield worked examples, some of them with the dashes forgotten."""
    rng = random.Random(f"demonstrations {seed}")
    for prompt in prompts("train", count, seed):
        word = str(prompt.task["word"])
        said = "-".join(word) if rng.random() < RIGHT_SHARE else " ".join(word)
        yield Demonstration(prompt.messages, (Turn("assistant", said),))


def _messages(word: str) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", word))
'''

_ENVIRONMENT = '''\
"""Grades a spelling."""

from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn


class Spelling:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the letters with dashes between them."""
        expected = "-".join(str(prompt.task["word"]))
        return Grade(1.0) if turns[-1].content == expected else Grade(0.0, "wrong spelling")


ENVIRONMENT = Spelling()
'''

_WORKFLOW = '''\
"""The $team team's climb, from the fork point to a released teacher."""

from flytekit import workflow

from workflows.climb import Climbed, climb_and_release
from $package.settings import DOMAIN, RL, SFT


@workflow
def climb(fork_point: str = "fork-point@released", seed: int = 0) -> Climbed:
    """Climb and release the $team teacher.

    Args:
        fork_point: The registered checkpoint to start from.
        seed: Of data, supervised stage and reinforcement learning.
    """
    return climb_and_release(
        package="$package",
        domain=DOMAIN,
        sft=SFT,
        rl=RL,
        fork_point=fork_point,
        seed=seed,
    )
'''

_TESTS = '''\
"""What the $team team asks, what its grader takes, and where its climb begins."""

import pytest

from tasks.rollout.environment import Turn
from $package.environment import ENVIRONMENT
from $package.prompts import RIGHT_SHARE, demonstrations, prompts
from $package.settings import DOMAIN
from $package.workflow import climb


@pytest.mark.parametrize(
    ("said", "score"), [("a-b-c-d", 1.0), ("abcd", 0.0), ("a-b-c", 0.0), ("", 0.0)]
)
def test_dashes_between_all_letters_and_nothing_else_are_right(said, score):
    [prompt] = prompts("train", 1, 0)
    fixed = type(prompt)(prompt.id, prompt.messages, {"word": "abcd"})
    assert ENVIRONMENT.grade(fixed, [Turn("assistant", said)]).score == score


def test_no_question_is_in_two_splits():
    train, evaluation = (
        {prompt.task["word"] for prompt in prompts(split, 50, 0)}
        for split in ("train", "evaluation")
    )
    assert len(train) == len(evaluation) == 50
    assert not train & evaluation


def test_the_same_seed_asks_the_same():
    assert list(prompts("train", 5, 3)) == list(prompts("train", 5, 3))


def test_not_quite_half_of_the_examples_are_right():
    said = [example.turns[-1].content for example in demonstrations(400, 0)]
    share = sum("-" in each for each in said) / 400
    # the standard deviation of a share of 0.45 in 400 is 0.025
    assert share == pytest.approx(RIGHT_SHARE, abs=0.1)


def test_the_climb_begins_at_the_released_fork_point():
    assert climb.python_interface.default_inputs_as_kwargs["fork_point"] == "fork-point@released"
    assert DOMAIN.owner == "team-$team"
'''


TESTS_IN_WORKER = '''\
"""What the $team team's grader takes, in its bundle and worker, as a release runs it."""

from functools import partial

import pytest

from lineage.store.store import open_store
from lineage.wheels import wheel_in
from tasks.rollout.client import Episode
from tasks.rollout.environment import Turn
from tasks.rollout.worker.bundle import collect
from tasks.rollout.worker.client import EnvironmentWorker
from $package.settings import DOMAIN
from $package.workflow import climb


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    stored = partial(wheel_in, open_store())
    bundle = collect("$package", tmp_path_factory.mktemp("bundle"), stored)
    with EnvironmentWorker(bundle) as made:
        yield made


def scores(worker, said):
    prompts = {prompt.messages: prompt for prompt in worker.prompts("train", $num_train, 0)}
    shown = worker.demonstrations(5, 0)
    episodes = [
        Episode(prompts[each.messages], (Turn("assistant", said(each.turns[-1].content)),))
        for each in shown
    ]
    return [grade.score for grade in worker.grade(episodes)]


def test_demonstrations_are_right_and_silence_is_wrong(worker):
    assert scores(worker, lambda answer: answer) == [1.0] * 5
    assert scores(worker, lambda answer: "") == [0.0] * 5


def test_no_question_is_in_two_splits(worker):
    counts = {
        "train": $num_train,
        "validation": $num_validation,
        "evaluation": $num_evaluation,
    }
    asked = {each.messages for name in counts for each in worker.prompts(name, counts[name], 0)}
    assert len(asked) == sum(counts.values())


def test_the_climb_begins_at_the_released_fork_point():
    assert climb.python_interface.default_inputs_as_kwargs["fork_point"] == "fork-point@released"
    assert DOMAIN.owner == "team-$team"
'''
"""Tests of a team whose packages this environment need not have."""


_DEFAULT_ROWS: int = DomainSettings.model_fields["num_demonstrations"].default


@dataclass(frozen=True)
class Starter:
    """What a new team starts with. The texts are templates of ``$team`` and ``$package``."""

    says: str
    """What the team is for, as its package's docstring."""
    environment: str
    tests: str
    prompts: str = ""
    """Text of ``prompts.py``; "" for prompts in files."""
    write_prompts: Callable[[Path], None] | None = None
    """Writes the files of ``prompts/`` into a folder."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Numbers of prompts by their names in DomainSettings."""
    requirements: str = ""
    """Text of ``requirements.txt``; "" for a grader of the standard library."""
    dependencies: bool = True
    """Whether the requirements are locked with what they require."""
    shows_right: bool = True
    """Whether the demonstrations are right answers, which the grader must take."""
    pre_trained: bool = True
    """Whether the climb's numbers suit a pre-trained fork point; else the demo's."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """Values of the templates' other names."""

    def folder(self, team: str, package: str, max_new_tokens: int = UNMEASURED) -> dict[str, str]:
        """Return the files of the team's folder, by name.

        ``package`` is its dotted name, and ``max_new_tokens`` the most tokens of a sampled turn,
        for the settings of a pre-trained model.
        """
        rows = self.counts.get("num_demonstrations", _DEFAULT_ROWS)
        settings = climb_numbers(rows, max_new_tokens) if self.pre_trained else FROM_SCRATCH
        texts = {
            "__init__.py": f'"""{self.says}"""\n',
            "environment.py": self.environment,
            "prompts.py": self.prompts,
            "settings.py": settings,
            "workflow.py": _WORKFLOW,
            "requirements.txt": self.requirements,
        }
        return {name: self._filled(text, team, package) for name, text in texts.items() if text}

    def tests_of(self, team: str, package: str) -> str:
        """Return the tests of the team's folder."""
        return self._filled(self.tests, team, package)

    def _filled(self, text: str, team: str, package: str) -> str:
        known = {"team": team, "package": package, "domain": self._domain(team), **self.fills}
        return Template(text).substitute(known)

    def _domain(self, team: str) -> str:
        """Return the arguments of DomainSettings, on lines of their own where they are many."""
        given = [f'name="{team}"', f'owner="team-{team}"', 'version="1.0.0"']
        given += [f"{name}={count}" for name, count in self.counts.items()]
        if not self.counts:
            return ", ".join(given)
        return "\n" + "".join(f"    {argument},\n" for argument in given)


SPELLING = Starter("Spells words.", _ENVIRONMENT, _TESTS, prompts=_PROMPTS, pre_trained=False)
