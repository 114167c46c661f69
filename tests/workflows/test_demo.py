"""The demo runs the stages that are not finished, each in a process of its own."""

import sys

import psutil
import pytest

from lineage.records.record import Derivation
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from workflows.commands import demo


def work(folder, _measurements):
    (folder / "out.txt").write_text("made")
    return folder / "out.txt"


def stage(name):
    """Return what a stage's workflow does: it finds its one step, or makes it."""
    more = {"source": "sha256:" + "a" * 64, "settings": {"name": name}, "project": "local"}
    derivation = Derivation(kind="sft", inputs=(), seed=0, **more)
    return lambda: StepRunner(mirror=MemoryMirror()).find_or_make(derivation, "dataset", work)


@pytest.fixture
def stages(home, tmp_path):
    class Stages(demo._Stages):
        def _command(self, name):
            code = f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')"
            return (sys.executable, "-S", "-c", code if name != "broken" else "raise SystemExit(3)")

    return Stages(seed=0, processes=2, logs=tmp_path / "logs")


def test_what_is_missing_is_run_and_what_is_finished_is_not(stages, tmp_path, capsys):
    stage("math")()
    stages._side_by_side({name: stage(name) for name in ("math", "code", "agent")})
    assert sorted((tmp_path / "ran").read_text().split()) == ["agent", "code"]
    lines = capsys.readouterr().err
    assert "code: started" in lines
    assert "math" not in lines


def test_a_finished_stage_starts_no_process(stages, tmp_path, capsys):
    stage("math")()
    stages._side_by_side({"math": stage("math")})
    assert not (tmp_path / "logs").exists()
    assert "math" in capsys.readouterr().err


def test_a_failed_stage_ends_the_demo_with_its_exit_code(stages):
    with pytest.raises(SystemExit) as ended:
        stages._side_by_side({"broken": stage("broken"), "code": stage("code")})
    assert ended.value.code == 3


@pytest.mark.parametrize(
    ("most", "in_use", "threads"),
    [(2, 0.0, 2), (2, 0.25, 2), (2, 0.3, 1), (2, 2.0, 1), (8, 0.9, 7), (8, 2.5, 5), (1, 0.0, 1)],
)
def test_a_stage_alone_takes_the_cores_that_are_free(most, in_use, threads):
    assert demo.free_cores(most, in_use) == threads


def test_the_cores_in_use_are_between_none_and_all():
    assert 0.0 <= demo.cores_in_use() <= psutil.cpu_count()


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("", 2)])
def test_the_users_number_of_threads_holds_for_a_stage_alone(stages, monkeypatch, given, threads):
    monkeypatch.setenv("PROVOST_THREADS", given)
    monkeypatch.setattr(demo, "cores_in_use", lambda: 0.0)
    assert stages._threads() == threads


def test_only_several_threads_spin(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert demo.variables_of(1) == {"PROVOST_THREADS": "1"}
    assert demo.variables_of(2) == {"PROVOST_THREADS": "2", "GOMP_SPINCOUNT": "300000"}
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    assert demo.variables_of(2) == {"PROVOST_THREADS": "2", "GOMP_SPINCOUNT": "0"}


def test_side_by_side_each_stage_takes_one_thread(stages, tmp_path, monkeypatch):
    """Reads what the children were given."""
    code = f"import os; open({str(tmp_path / 'ran')!r}, 'a').write(os.environ['PROVOST_THREADS'])"
    monkeypatch.setattr(stages, "_command", lambda name: (sys.executable, "-S", "-c", code))
    stages._side_by_side({name: stage(name) for name in ("math", "code")})
    assert (tmp_path / "ran").read_text() == "11"
