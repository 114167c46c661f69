"""A foundation that the disk cannot hold is refused before anything trains."""

from lineage.artifacts import Artifact
from tasks.platform.step_runner import StepRunner
from tasks.release.preflight import check_foundation
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.runs import taken
from tests.support.tiny_faculty import BASE


def test_a_disk_without_room_for_base_and_fork_point_is_refused(home):
    runner = StepRunner(mirror=MemoryMirror())
    # 300 x 16 embeddings, and one layer: 6 heads of 8 and three matrices of 32, each times 16.
    size = 4 * 16 * (300 + 6 * 8 + 3 * 32)
    enough = 5 * size  # base, fork point, a state of weights and two moments
    assert check_foundation(runner, [], "", BASE.scratch, free=lambda folder: enough) == []
    with refused("disk-too-small", runner.store.uri):
        check_foundation(runner, [], "", BASE.scratch, free=lambda folder: enough - 1)


def test_the_size_of_a_model_in_a_folder_is_that_of_its_files(home, tmp_path):
    runner = StepRunner(mirror=MemoryMirror())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 100)
    source = str(tmp_path / "model")
    check_foundation(runner, [], source, BASE.scratch, free=lambda folder: 500)
    with refused("disk-too-small"):
        check_foundation(runner, [], source, BASE.scratch, free=lambda folder: 499)
    check_foundation(runner, [], "owner/model-on-the-hub", BASE.scratch, free=lambda folder: 0)


def test_a_finished_foundation_needs_no_room(fork_point):
    runner = StepRunner(mirror=MemoryMirror())
    [base] = [d for d in runner.records.all() if runner.records.read(d).kind == "base"]
    assert runner.records.finished(base)
    given = Artifact(kind="dataset", digest=runner.store.put_bytes(b"rows"))
    with refused("disk-too-small"):
        check_foundation(runner, [given], "", BASE.scratch, free=lambda folder: 0)
    record, _ = write_record(
        runner.store, b"fork point", taken("data", given), kind="sft", output_kind="checkpoint"
    )
    assert runner.records.finished(record)
    check_foundation(runner, [given], "", BASE.scratch, free=lambda folder: 0)
