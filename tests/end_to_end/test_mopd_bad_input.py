"""What a round is given and cannot use is refused by name, before its first rollout."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.compatibility import Finding
from tasks.mopd.round import distil_round, distil_rounds
from tasks.rollout.source import Mixture
from tests.support.mopd_rounds import faculty_at, planned, told


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


def refused(runner, plan, said, distil=None, **settings):
    before = runner.records.all()
    with pytest.raises(ValueError, match=said):
        distil_round(runner, plan, told(distil, **settings), seed=0)
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


def test_what_is_not_changed_comes_to_its_first_rollout(runner, plan):
    run(runner, plan)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change_json("tokenizer.json", swap_two_words), "'shout' .* its tokenizer is sha256"),
        (
            change_json("config.json", lambda content: content.update(vocab_size=301)),
            "'shout' cannot be used: its vocabulary has 301 entries and the student's 300",
        ),
        (change_weights(a_nan), "'shout' cannot be used: .*model.embed_tokens.weight"),
        (
            change_weights(lambda content: content.pop("model.norm.weight")),
            "'shout' cannot be used: .*model.norm.weight",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "'shout' cannot be used"),
    ],
    ids=["tokenizer", "vocabulary", "nan", "missing weight", "missing file"],
)
def test_a_teacher_that_cannot_be_used_is_named(runner, changed, edit, said):
    refused(runner, changed(edit), said)


def test_another_template_is_refused_unless_a_person_has_accepted_it(runner, changed):
    plan = changed(lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"))
    refused(runner, plan, "'shout' cannot be used: its chat template is sha256")
    note = Finding(
        code="other-template", severity="refusal", subject="shout", evidence="", next_step=""
    )
    run(runner, plan.model_copy(update={"notes": [note]}))


def test_a_domain_without_prompts_is_refused(runner, plan):
    teacher, *others = plan.teachers
    none = Artifact(kind="dataset", digest=runner.store.put_bytes(b""))
    empty = teacher.model_copy(update={"train": none})
    refused(
        runner, plan.model_copy(update={"teachers": [empty, *others]}), "the domain 'shout' .*empty"
    )


def test_a_prompt_that_does_not_fit_is_named(runner, plan):
    teacher, *others = plan.teachers
    lines = runner.store.get_bytes(teacher.train.digest).decode().splitlines()
    row = json.loads(lines[-1])
    row["messages"][-1]["content"] = "a b " * 200
    text = "\n".join([*lines[:-1], json.dumps(row)]) + "\n"
    long = Artifact(kind="dataset", digest=runner.store.put_bytes(text.encode()))
    changed = teacher.model_copy(update={"train": long})
    refused(runner, plan.model_copy(update={"teachers": [changed, *others]}), row["id"])


@pytest.mark.parametrize(
    ("distil", "said"),
    [
        ({"masked": ("shout", "whisper")}, "every teacher is masked"),
        ({"divergence": "top_k", "top_k": {"k": 301}}, "k is 301, but the vocabulary has 300"),
        ({"masked": ("murmur",)}, r"masked teachers \['murmur'\] are none"),
        ({"delta_teachers": ("murmur",)}, r"delta teachers \['murmur'\] are none"),
        (
            {"balance": {"rule": "fixed", "weights": {"shout": 1, "murmur": 2}}},
            r"weighted teachers \['murmur'\]",
        ),
    ],
)
def test_settings_that_name_nobody_are_refused(runner, plan, distil, said):
    refused(runner, plan, said, distil)


def test_a_teacher_without_its_fixed_weight_is_named(runner, plan):
    third = plan.teachers[0].model_copy(update={"name": "third"})
    three = plan.model_copy(update={"teachers": [*plan.teachers, third]})
    weights = {"rule": "fixed", "weights": {"shout": 1, "whisper": 2}}
    refused(runner, three, r"none to \['third'\]", {"balance": weights})


def test_a_delta_that_is_none_is_refused(runner, plan):
    own = planned(runner, "shout@released=self", "whisper@released")
    refused(runner, own, "'shout' is the student itself", {"delta_teachers": ("shout",)})
    release = read_manifest(runner.store, plan.teachers[0].release.digest, Release)
    same = plan.model_copy(update={"student": release.precursor})
    refused(runner, same, "its delta on that is the teacher itself", {"delta_teachers": ("shout",)})


def test_a_reference_that_says_nothing_new_is_refused(runner):
    own = planned(runner, "shout@released=self", "whisper@released=self")
    refused(runner, own, "set reference_weight to 0", {"reference_weight": 0.1})


def test_no_round_is_refused(runner, plan):
    with pytest.raises(ValueError, match="rounds is 0"):
        distil_rounds(runner, plan, told(), 0, seed=0)
