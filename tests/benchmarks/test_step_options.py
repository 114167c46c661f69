"""The options of ``python -m benchmarks.step``: a device is used, or refused."""

import sys

import pytest

from benchmarks.step import __main__ as command
from benchmarks.step import sampler
from benchmarks.step.real_shape import _clock, case_of


def options(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["benchmarks.step", *words])
    return command._options()


@pytest.mark.parametrize("what", ["memory", "on_paper"])
def test_what_is_measured_on_a_cpu_refuses_a_gpu(monkeypatch, what, capsys):
    assert options(monkeypatch, what).device == "cpu"
    with pytest.raises(SystemExit):
        options(monkeypatch, what, "--device", "cuda")
    assert what in capsys.readouterr().err


def test_the_real_shape_runs_on_the_given_device():
    assert case_of("bfloat16", 1, 8, "cuda").device == "cuda"
    # One thread of a CPU has a clock of its own; a GPU is waited for.
    clocks = [("cpu", 1), ("cpu", 2), ("cuda", 1)]
    assert [_clock(case_of("float32", n, 8, device)) for device, n in clocks] == [1, 0, 0]


def test_only_the_real_shape_goes_without_kernels(monkeypatch):
    assert options(monkeypatch, "real", "--without-kernels").without_kernels
    with pytest.raises(SystemExit):
        options(monkeypatch, "limits", "--without-kernels")


def test_the_sampler_is_measured_on_the_given_device():
    small = {"hidden_size": 16, "num_layers": 1, "head_size": 4, "feed_forward_size": 16}
    case = sampler.Case(rows=2, context_tokens=12, new_tokens=3, vocabulary=32, **small)
    row = sampler.measure(case, 1, "cpu")
    assert set(row["seconds"]) == {"ours", "generate"}
    assert sampler.CASES["cuda"][0].vocabulary == 151_936
