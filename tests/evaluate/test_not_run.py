"""What was not run is told from attestations, and goes when one shows it."""

import sys
from types import SimpleNamespace

import pytest

from lineage.records.derivation import FlyteRun
from lineage.records.record import Attestation, Derivation
from tasks.evaluate.publish import NO_CLUSTER, NO_GPU, not_run
from tasks.platform import step_runner
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import gpu_in_use
from tasks.platform.step_runner import StepRunner
from tests.support.making import SOURCE
from tests.support.mirrors import MemoryMirror

DIGEST = "sha256:" + "a" * 64
FLYTE = FlyteRun(project="p", domain="d", execution="f1")


def attested(**more):
    return Attestation(derivation=DIGEST, output=DIGEST, output_kind="checkpoint", **more)


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ([{}], (NO_GPU, NO_CLUSTER)),
        ([{}, {"notes": {"gpu": "NVIDIA H100"}}], (NO_CLUSTER,)),
        ([{"flyte": FLYTE}, {}], (NO_GPU,)),
        ([{"execution": "f1"}], (NO_GPU,)),  # a record from before the place was recorded
        ([{"flyte": FLYTE, "notes": {"gpu": "NVIDIA H100"}}], ()),
    ],
)
def test_what_an_attestation_shows_is_not_among_what_was_not_run(shown, missing):
    assert not_run(attested(**more) for more in shown) == missing


def torch_with(*, available, initialized):
    cuda = SimpleNamespace(
        is_available=lambda: available,
        is_initialized=lambda: initialized,
        get_device_name=lambda: "NVIDIA H100",
    )
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize(
    ("available", "initialized", "name"),
    [(True, True, "NVIDIA H100"), (True, False, ""), (False, False, "")],
)
def test_a_gpu_counts_where_this_process_used_it(monkeypatch, available, initialized, name):
    torch = torch_with(available=available, initialized=initialized)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert gpu_in_use() == name


def test_without_torch_no_gpu_is_found(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert gpu_in_use() == ""


@pytest.mark.parametrize("gpu", ["NVIDIA H100", ""])
def test_a_step_attests_the_gpu_that_it_used(home, tmp_path, monkeypatch, gpu):
    monkeypatch.setattr(step_runner, "gpu_in_use", lambda: gpu)
    runner = StepRunner(mirror=MemoryMirror())
    derivation = Derivation(kind="sft", inputs=(), source=SOURCE, settings={}, seed=0)
    (tmp_path / "out").write_text("w")
    made = runner.commit(
        derivation,
        "metrics",
        tmp_path / "out",
        step_runner.now(),
        Measurements("sft", notes={"a": 1}),
    )
    notes = dict(runner.records.output(made.record).notes)
    assert notes.pop("processor_seconds") >= 0
    assert notes == ({"a": 1, "gpu": gpu} if gpu else {"a": 1})
