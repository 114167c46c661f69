"""Unusable inputs of a round are refused by code and name, before its first rollout."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.compatibility.checks import Finding
from tasks.mopd.round import distil_round, distil_rounds
from tasks.rollout.domains import Mixture
from tests.support.mopd_rounds import faculty_at, planned, told
from tests.support.refused import refused


@pytest.fixture(scope="module")
def runner(home_with_teachers, tmp_path_factory):
    with faculty_at(home_with_teachers, tmp_path_factory.mktemp("rounds") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def plan(runner):
    return planned(runner)


class PlayedError(Exception):
    """What a round ends with that came as far as its first rollout."""


@pytest.fixture(autouse=True)
def no_rollout(monkeypatch):
    def play(_self, _step):
        raise PlayedError

    monkeypatch.setattr(Mixture, "rollouts", play)


def run(runner, plan, distil=None, **settings):
    """Run a round as far as its first rollout."""
    with pytest.raises(PlayedError):
        distil_round(runner, plan, told(distil, **settings), seed=0)


def check_refused(runner, plan, code, *names, distil=None):
    """Expect a refusal by code whose message holds the names; nothing is recorded."""
    before = runner.records.all()
    with refused(code, *names):
        distil_round(runner, plan, told(distil), seed=0)
    assert runner.records.all() == before


@pytest.fixture
def changed(runner, plan, tmp_path):
    """Return the plan whose first teacher's checkpoint was changed by a function of its folder."""

    def change(edit):
        teacher, *others = plan.teachers
        folder = shutil.copytree(runner.store.tree(teacher.checkpoint.digest), tmp_path / "changed")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        edit(folder)
        checkpoint = teacher.checkpoint.model_copy(update={"digest": runner.store.put_tree(folder)})
        teacher = teacher.model_copy(update={"checkpoint": checkpoint})
        return plan.model_copy(update={"teachers": [teacher, *others]})

    return change


def change_json(name, change):
    """Return an edit of a JSON file."""

    def edit(folder):
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return edit


def change_weights(change):
    """Return an edit of the weights."""

    def edit(folder):
        content = load_file(folder / "model.safetensors")
        change(content)
        save_file(content, folder / "model.safetensors", metadata={"format": "pt"})

    return edit


def swap_two_words(content):
    vocabulary = content["model"]["vocab"]
    one, other = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]


def a_nan(content):
    content["model.embed_tokens.weight"][3, 2] = torch.nan


def test_an_unchanged_round_reaches_its_first_rollout(runner, plan):
    run(runner, plan)


@pytest.mark.parametrize(
    ("edit", "code", "names"),
    [
        (change_json("tokenizer.json", swap_two_words), "other-tokenizer", ()),
        (
            change_json("config.json", lambda content: content.update(vocab_size=301)),
            "other-vocabulary",
            ("301", "300"),
        ),
        (change_weights(a_nan), "not-finite", ("model.embed_tokens.weight",)),
        (
            change_weights(lambda content: content.pop("model.norm.weight")),
            "missing-weights",
            ("model.norm.weight",),
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "no-safetensors", ()),
    ],
    ids=["tokenizer", "vocabulary", "nan", "missing weight", "missing file"],
)
def test_a_teacher_that_cannot_be_used_is_named(runner, changed, edit, code, names):
    check_refused(runner, changed(edit), code, "'shout'", *names)


def test_another_template_is_refused_without_a_waiver(runner, changed):
    plan = changed(lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"))
    check_refused(runner, plan, "other-template", "'shout'")
    note = Finding(
        code="other-template", severity="refusal", subject="shout", evidence="", next_step=""
    )
    run(runner, plan.model_copy(update={"notes": [note]}))


def test_a_domain_without_prompts_is_refused(runner, plan):
    teacher, *others = plan.teachers
    none = Artifact(kind="dataset", digest=runner.store.put_bytes(b""))
    empty = teacher.model_copy(update={"train": none})
    plan = plan.model_copy(update={"teachers": [empty, *others]})
    check_refused(runner, plan, "unusable-prompts", "'shout'")


@pytest.mark.parametrize("split", ["train", "validation", "evaluation"])
def test_a_prompt_that_does_not_fit_is_named(runner, plan, split):
    teacher, *others = plan.teachers
    lines = runner.store.get_bytes(getattr(teacher, split).digest).decode().splitlines()
    row = json.loads(lines[-1])
    row["messages"][-1]["content"] = "a b " * 200
    text = "\n".join([*lines[:-1], json.dumps(row)]) + "\n"
    long = Artifact(kind="dataset", digest=runner.store.put_bytes(text.encode()))
    changed = teacher.model_copy(update={split: long})
    plan = plan.model_copy(update={"teachers": [changed, *others]})
    check_refused(runner, plan, "prompt-too-long", row["id"])


@pytest.mark.parametrize(
    ("distil", "code", "names"),
    [
        ({"masked": ("shout", "whisper")}, "all-masked", ()),
        ({"divergence": "top_k", "top_k": {"k": 301}}, "top-k-above-vocabulary", ("301", "300")),
        ({"masked": ("murmur",)}, "unknown-teacher", ("masked", "murmur")),
        ({"delta_teachers": ("murmur",)}, "unknown-teacher", ("delta", "murmur")),
        (
            {"balance": {"rule": "fixed", "weights": {"shout": 1, "murmur": 2}}},
            "unknown-teacher",
            ("weighted", "murmur"),
        ),
    ],
)
def test_settings_of_an_unknown_teacher_are_refused(runner, plan, distil, code, names):
    check_refused(runner, plan, code, *names, distil=distil)


def test_a_teacher_without_its_fixed_weight_is_named(runner, plan):
    third = plan.teachers[0].model_copy(update={"name": "third"})
    three = plan.model_copy(update={"teachers": [*plan.teachers, third]})
    weights = {"rule": "fixed", "weights": {"shout": 1, "whisper": 2}}
    check_refused(runner, three, "teacher-without-weight", "['third']", distil={"balance": weights})


def test_a_delta_without_a_change_is_refused(runner, plan):
    delta = {"delta_teachers": ("shout",)}
    own = planned(runner, "shout@released=self", "whisper@released")
    check_refused(runner, own, "delta-of-self", "'shout'", distil=delta)
    release = read_manifest(runner.store, plan.teachers[0].release.digest, Release)
    same = plan.model_copy(update={"student": release.precursor})
    check_refused(runner, same, "delta-of-start", "'shout'", distil=delta)


def test_a_reference_that_equals_the_only_teacher_is_refused(runner):
    own = planned(runner, "shout@released=self", "whisper@released=self")
    check_refused(runner, own, "idle-reference", distil={"reference_weight": 0.1})


def test_a_consolidation_without_rounds_is_refused(runner, plan):
    with refused("no-rounds", "0"):
        distil_rounds(runner, plan, told(), 0, seed=0)
