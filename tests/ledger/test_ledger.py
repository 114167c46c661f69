"""A ledger as it is written and read: it adds up, and it knows whose it is."""

import json

import pytest
import torch

from tasks.ledger.estimate import (
    RunEstimate,
    RunSize,
    estimate,
    free_memory,
    held_numbers,
    memory_speed,
    refuse_small_storage,
)
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import KeptRollout, LedgerSettings, SourceRow, StoredPrecision
from tasks.ledger.split_adamw import AdamWConstants, SplitAdamW
from tasks.ledger.writer import LedgerWriter, digest_weights
from tasks.platform.resources import free_storage
from tests.ledger.test_split_adamw import SOURCES, parameters, snapshot, take
from tests.support.refused import refused

ROW = SourceRow(
    step=1,
    source="math",
    tokens=3,
    advantage_mean=0.5,
    advantage_deviation=0.1,
    gradient_norm=2.0,
    gradient_cosine=0.9,
    kl_before=0.2,
    kl_after=0.1,
)
KEPT = KeptRollout(
    step=1,
    teacher="math",
    domain="math",
    prompt="p1",
    score=1.0,
    ids=(1, 2, 3),
    response=(2,),
    weight=0.25,
    sampler_log_probs=(-0.5,),
    advantages={"math": (0.125,)},
)


def written(folder, num_steps=7, decay=0.05, **settings):
    """Write a ledger of a few updates; return it with the weights at both ends."""
    params = parameters(torch.float32)
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(weight_decay=decay), record=True)
    start = {name: tensor.clone() for name, tensor in optimizer.masters().items()}
    told = LedgerSettings(**{"segment_steps": 3} | settings)
    writer = LedgerWriter(folder, told, optimizer, seed=7)
    for step in range(1, num_steps + 1):
        take(optimizer, params, 0.01)
        writer.step(step, [ROW], [KEPT], last=step == num_steps)
    return Ledger.open(folder), start, optimizer.masters()


def test_segments_cover_the_run_and_chain_by_their_digests(tmp_path):
    ledger, start, end = written(tmp_path)
    segments = ledger.manifest.segments
    assert [(s.first_step, s.last_step) for s in segments] == [(1, 3), (4, 6), (7, 7)]
    assert segments[0].start == digest_weights(start) == ledger.manifest.start
    assert segments[0].end == segments[1].start
    assert segments[2].end == digest_weights(end) == ledger.manifest.end
    assert ledger.parts == [*SOURCES, "decay", "rounding"]
    assert ledger.rows() == [ROW] * 7
    assert list(ledger.rollouts()) == [KEPT] * 7


def test_what_is_stored_adds_up_to_the_change_of_the_weights(tmp_path):
    ledger, start, end = written(tmp_path)
    now = start
    for walked in ledger.walk(start):
        assert all(torch.equal(walked.start[name], now[name]) for name in now)
        assert digest_weights(walked.end) == walked.segment.end
        for name in start:
            total = sum(part[name] for part in walked.parts.values())
            torch.testing.assert_close(now[name] + total, walked.end[name], rtol=0, atol=1e-6)
        now = walked.end
    assert all(torch.equal(now[name], end[name]) for name in end)
    found = ledger.check(start, end)
    assert found.rounding < 1e-5
    assert found.unexplained < 1e-12
    assert found.saving == 0
    assert found.parts.keys() == {*SOURCES, "decay", "rounding"}
    assert found.change == pytest.approx(
        torch.cat([(end[n] - start[n]).flatten() for n in start]).norm().item(), rel=1e-5
    )


def test_half_the_storage_says_what_it_loses(tmp_path):
    exact, *_ = written(tmp_path / "exact")
    short, start, end = written(tmp_path / "short", precision=StoredPrecision.BF16)
    files = [folder / "segment-00001.safetensors" for folder in (exact.folder, short.folder)]
    assert files[1].stat().st_size < files[0].stat().st_size
    assert exact.manifest.segments[0].lost == 0.0
    segment = short.manifest.segments[0]
    [whole, halved] = [next(ledger.walk(start)).parts for ledger in (exact, short)]
    missing = torch.cat(
        [
            (whole[part][name] - tensor).flatten()
            for part in short.parts
            for name, tensor in halved[part].items()
        ]
    )
    assert digest_weights(next(short.walk(start)).end) == segment.end
    assert segment.lost == pytest.approx(missing.norm().item(), rel=1e-4)
    with refused("unexplained-change"):
        short.check(start, end)


def test_the_same_run_has_the_same_bytes(tmp_path):
    first, second = (written(tmp_path / name)[0].folder for name in ("first", "second"))
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


def test_weights_of_another_student_are_refused(tmp_path):
    ledger, start, end = written(tmp_path)
    other = {name: tensor + 1e-6 for name, tensor in end.items()}
    with refused("other-weights", "ends"):
        ledger.check(start, other)
    with refused("other-weights", "begins"):
        ledger.check(other, end)


def test_weights_changed_past_the_optimizer_are_found(tmp_path):
    params = parameters(torch.float32)
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=True)
    start = snapshot(params)
    start = {name: tensor.float() for name, tensor in start.items()}
    writer = LedgerWriter(tmp_path, LedgerSettings(), optimizer, seed=0)
    take(optimizer, params, 0.01)
    with torch.no_grad():
        params["a"] += 0.01
    writer.step(1, [], [], last=True)
    with refused("unexplained-change"):
        Ledger.open(tmp_path).check(start, optimizer.masters())


def test_without_displacements_there_is_nothing_to_add_up(tmp_path):
    ledger, start, end = written(tmp_path, displacements=False)
    assert ledger.manifest.segments == ()
    assert ledger.manifest.end == digest_weights(end)
    with refused("no-displacements"):
        ledger.check(start, end)


def test_without_displacements_the_weights_are_kept_where_segments_end(tmp_path):
    ledger, _, end = written(tmp_path, displacements=False)
    whole, *_ = written(tmp_path / "whole")
    kept, segments = ledger.manifest.checkpoints, whole.manifest.segments
    assert whole.manifest.checkpoints == ()
    assert [(c.step, c.digest) for c in kept] == [(s.last_step, s.end) for s in segments]
    for name, tensor in ledger.weights(kept[-1]).items():
        assert torch.equal(tensor, end[name])


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with refused("no-ledger"):
        Ledger.open(tmp_path)


def test_a_ledger_of_another_run_is_not_gone_on_with(tmp_path):
    written(tmp_path)
    optimizer = SplitAdamW(parameters(), ["math"], AdamWConstants(), record=True)
    with refused("other-run"):
        LedgerWriter(tmp_path, LedgerSettings(segment_steps=3), optimizer, seed=7)


def test_a_manifest_is_readable_by_a_person(tmp_path):
    written(tmp_path)
    manifest = json.loads((tmp_path / "ledger.json").read_text())
    assert manifest["schema_"] == "provost.ledger/2"
    assert manifest["segments"][0]["norms"].keys() == {*SOURCES, "decay", "rounding"}


def test_the_digest_of_weights_sees_names_shapes_types_and_bits():
    weights = {"a": torch.zeros(2, 3), "b": torch.tensor(1.0)}
    same = digest_weights(dict(reversed(weights.items())))
    assert digest_weights(weights) == same
    flipped = weights["a"].clone()
    flipped[1, 2] = -0.0
    for other in (
        {"a": flipped, "b": weights["b"]},
        {"a": weights["a"].reshape(3, 2), "b": weights["b"]},
        {"a": weights["a"].double(), "b": weights["b"]},
        {"c": weights["a"], "b": weights["b"]},
        {"a": weights["a"], "b": torch.tensor(2.0)},
    ):
        assert digest_weights(other) != same


def test_an_estimate_is_what_the_buffers_are():
    params = parameters(torch.float32)
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=True)
    held = sum(t.numel() for name, t in optimizer.state().items() if name != "num_updates")
    # The state holds the masters and each moment, displacement, start and decay; gradients of
    # three sources are beside it.
    numbers = held_numbers(3, displacements=True)
    assert (1 + numbers.moments + numbers.displacements) * 11 == held
    assert numbers.total * 11 == held - 11 + 3 * 11
    size = RunSize(11, 3, 1, num_steps=25, updates_per_step=2)
    needed = estimate(size, LedgerSettings(segment_steps=10), 1e9)
    assert needed.storage == 363  # three segments of 11 weights: 3 x 3.5 + 0.5 bytes each
    bare = estimate(size, LedgerSettings(segment_steps=10, displacements=False), 1e9)
    assert bare.storage == 3 * 11 * 4  # three checkpoints
    assert needed.backward_passes == 2
    assert needed.seconds == pytest.approx(50 * (16 + 3 * 14) * 11 * 4 / 1e9)


def test_a_ledger_that_the_store_has_no_room_for_is_refused_before_the_run():
    needed = RunEstimate(storage=100, seconds=1.0, backward_passes=1)
    refuse_small_storage(needed, free_storage=100)
    refuse_small_storage(needed, free_storage=None)
    with refused("disk-too-small", "ledger.segment_steps"):
        refuse_small_storage(needed, free_storage=99)


def test_what_is_free_is_measured(tmp_path):
    cpu = torch.device("cpu")
    assert free_memory(cpu) > 1 << 28
    assert free_storage(tmp_path / "not" / "there") > 1 << 20
    assert memory_speed(cpu) > 1e8
