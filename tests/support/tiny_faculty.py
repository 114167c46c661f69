"""A faculty that climbs in seconds: a fork point of ten thousand numbers, two teams, no talent.

What the models say is noise and what they learn is nothing. What is left behind (records,
releases, versions, reports) is what a real run leaves.
"""

import importlib
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineage.mirror import mirror_entry
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.contracts.publication import RELEASED, moves_to
from tasks.model.settings import ScratchSettings
from tasks.sft.settings import BaseSettings, SftSettings
from tests.support.mirrors import MemoryMirror

BASE = BaseSettings(
    scratch=ScratchSettings(
        vocabulary_size=300,
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        num_key_value_heads=1,
        head_size=8,
        feed_forward_size=32,
        max_positions=128,
        weight_deviation=0.3,
    ),
    num_documents=50,
    training=SftSettings(num_steps=2, batch_size=4, learning_rate=1e-3, warmup_steps=0),
)
PACKAGE = "tiny_teams"
TEAMS = ("shout", "whisper")
ORDER = {
    "teachers": [f"{team}@released" for team in TEAMS],
    "mopd_steps": 2,
    # They have learned nothing that could fit, and trained controls take seconds.
    "settings": ["gate_prompts_per_domain=0", "controls=parameter_average,task_arithmetic"],
}
"""The consolidation of both."""
NUM_EVALUATION = 8
RUNG_STEPS = [1, 2]

PROMPTS = '''
"""Four letters, to be said {name}ed."""

import random

from tasks.rollout.environment import Demonstration, Message, Prompt, Turn, split_of


def prompts(split, count, seed):
    rng, seen = random.Random(f"{name} {{split}} {{seed}}"), set()
    while len(seen) < count:
        word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4))
        if split_of(word) == split and word not in seen:
            seen.add(word)
            yield Prompt(f"{name}-{{word}}", _messages(word), {{"word": word}})


def demonstrations(count, seed):
    for prompt in prompts("train", count, seed):
        yield Demonstration(prompt.messages, (Turn("assistant", prompt.task["word"]),))


def _messages(word):
    return (Message("system", "{name}"), Message("user", word))
'''

ENVIRONMENT = '''
"""Grades noise by chance, so that reinforcement learning has something to learn from."""

from tasks.rollout.environment import Grade


class Environment:
    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
{grade}


ENVIRONMENT = Environment()
'''

GRADE = """
said = turns[-1].content
return Grade(1.0) if sum(map(ord, said)) % 2 == {remainder} else Grade(0.0, "not {name}ed")
"""

SETTINGS = """
from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings(
    name="{name}", owner="team-{name}", version="1.0.0",
    num_train=8, num_validation=8, num_evaluation={num_evaluation}, num_demonstrations=8,
)
SFT = SftSettings(num_steps=2, batch_size=4, learning_rate=1e-3, warmup_steps=0)
RL = RlSettings(
    loop=LoopSettings(num_steps=2, learning_rate=1e-2, warmup_steps=0, rung_every=1),
    sampling=SamplingSettings(max_new_tokens=4),
    prompts_per_step=2,
    rollouts_per_prompt=4,
)
"""

WORKFLOW = '''
from flytekit import workflow

from workflows.climb import Climbed, climb_and_release
from {package}.settings import DOMAIN, RL, SFT


@workflow
def climb(fork_point: str = "fork-point@released", seed: int = 0) -> Climbed:
    """Climb and release a teacher."""
    return climb_and_release(
        package="{package}", domain=DOMAIN, sft=SFT, rl=RL, fork_point=fork_point, seed=seed
    )
'''


def write_team(root, name, *, domain="", package=PACKAGE, grade="", prompts=""):
    """Write the package of a team under ``root`` and return its dotted name.

    ``grade`` is the body of its grader, ``prompts`` the whole of its prompts.py, else sensible.
    """
    domain = domain or name
    folder = Path(root, package, name)
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    remainder = 0 if domain == "shout" else 1
    grade = textwrap.dedent(grade or GRADE.format(remainder=remainder, name=domain)).strip()
    files = {
        "__init__.py": "",
        "prompts.py": prompts or PROMPTS.format(name=domain),
        "environment.py": ENVIRONMENT.format(grade=textwrap.indent(grade, " " * 8)),
        "settings.py": SETTINGS.format(name=domain, num_evaluation=NUM_EVALUATION),
        "workflow.py": WORKFLOW.format(package=f"{package}.{name}"),
    }
    for file, text in files.items():
        (folder / file).write_text(text.lstrip())
    importlib.invalidate_caches()
    return f"{package}.{name}"


def climb(package, **inputs):
    """Run a team's climb in this process, promote what has no talent, and return the release."""
    release = importlib.import_module(f"{package}.workflow").climb(**inputs).release
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(release.digest)
    if moves_to(registry, RELEASED, entry):
        reason = "it has no talent, as asked"
        registry.point(entry.name, RELEASED, entry.version, by=entry.owner, reason=reason)
        mirror_entry(store, entry.name)
    return release


@contextmanager
def home_at(folder):
    """Work in another home for a while; session fixtures come before each test gets its own."""
    before = {name: os.environ.pop(name, None) for name in ("PROVOST_HOME", "PROVOST_STORE")}
    os.environ["PROVOST_HOME"] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("PROVOST_HOME")
        os.environ |= {name: value for name, value in before.items() if value is not None}


@contextmanager
def importable(root):
    """Have packages under ``root`` found by Python, and forgotten afterwards."""
    packages = {path.name for path in Path(root).iterdir() if path.is_dir()}
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]


@contextmanager
def teams_folder(tmp_path, package):
    """Give a folder with an empty package for teams, which Python finds meanwhile."""
    (tmp_path / "teams" / package).mkdir(parents=True)
    with importable(tmp_path / "teams"):
        yield tmp_path / "teams"


def collected(team):
    """Collect a team's domain, as a climb does first; return runner and domain."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release.domain import collect_domain

    runner = StepRunner(mirror=MemoryMirror())
    settings = importlib.import_module(f"{team}.settings").DOMAIN
    return runner, collect_domain(runner, team, settings, 0)


def make_fork_point(seed=0, name="fork-point"):
    """Make and register a fork point in the present home; return its artifact."""
    from tasks.platform.step_runner import StepRunner
    from tasks.release.checkpoints import register_checkpoint
    from tasks.sft.steps import make_base

    runner = StepRunner()
    made = make_base(runner, "", [], BASE, seed)
    return register_checkpoint(runner, name, made, "foundation")


@dataclass(frozen=True)
class Contents:
    """What a store holds, to see whether a rerun added anything."""

    records: frozenset
    attestations: frozenset
    entries: tuple

    @classmethod
    def now(cls):
        store = open_store()
        records, registry = Records(store), Registry(store)
        return cls(
            records=frozenset(records.all()),
            attestations=frozenset(key for _, key in records.statements()),
            entries=tuple(e for name in registry.names() for e in registry.versions(name)),
        )


def copy_home(source, target):
    """Copy a finished home; hard links would let one test write into another's."""
    target.mkdir()
    subprocess.run(["cp", "-a", f"{source}/.", target], check=True)
    return target


def kinds(digests):
    """Return how many records of each kind are among these."""
    records = Records(open_store())
    counted = {}
    for digest in digests:
        kind = records.read(digest).kind
        counted[kind] = counted.get(kind, 0) + 1
    return counted
