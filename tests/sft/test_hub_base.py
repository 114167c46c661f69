"""A base from the Hub is the bytes of a commit: what its name stands for can change."""

import shutil

import huggingface_hub.constants
import pytest

from lineage.store.store import open_store
from tasks.model.files import save_policy
from tasks.model.hub import snapshot_of
from tasks.platform.step_runner import StepRunner
from tasks.sft.settings import BaseSettings
from tasks.sft.steps import make_base
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of the Hub with a model of one commit."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "hub" / "models--org--model"
    save_policy(tiny_policy(), model / "snapshots" / FIRST)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(FIRST)
    return model


def test_a_name_resolves_to_a_commit_where_it_is_known(hub):
    assert snapshot_of("org/model").name == FIRST
    with refused("hub-out-of-reach", "org/none"):
        snapshot_of("org/none")


def test_another_commit_under_the_same_name_is_another_base(hub, home):
    runner = StepRunner(open_store(), mirror=MemoryMirror())
    first = make_base(runner, "org/model", [], BaseSettings(), 0)
    settings = runner.records.read(first.record).settings
    wanted = {"source": "org/model", "revision": FIRST, "saved_precision": "auto"}
    assert settings == wanted
    shutil.copytree(hub / "snapshots" / FIRST, hub / "snapshots" / SECOND)
    (hub / "refs" / "main").write_text(SECOND)
    second = make_base(runner, "org/model", [], BaseSettings(), 0)
    assert runner.records.read(second.record).settings["revision"] == SECOND


@pytest.mark.medium
def test_a_revision_behind_the_name_is_resolved_to_its_commit(hub, home):
    shutil.copytree(hub / "snapshots" / FIRST, hub / "snapshots" / SECOND)
    (hub / "refs" / "v2").write_text(SECOND)
    made = make_base(StepRunner(), "org/model@v2", [], BaseSettings(), 0)
    settings = StepRunner().records.read(made.record).settings
    wanted = {"source": "org/model", "revision": SECOND, "saved_precision": "auto"}
    assert settings == wanted
