"""AdamW split by source: it is AdamW, and its parts add up to what it did."""

import math

import pytest
import torch
from torch import nn

from tasks.ledger.source_gradients import SourceGradient, UpdateReport
from tasks.ledger.split_adamw import DECAY, ROUNDING, AdamWConstants, SplitAdamW
from tests.support.refused import refused

SOURCES = ["math", "code", "outcome"]


def parameters(dtype=torch.float64, seed=0):
    """Return two parameters of eleven numbers in all."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (2, 3), "b": (5,)}
    return {
        name: nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for name, shape in shapes.items()
    }


def losses(params):
    """Return a loss for each source, of different sizes and directions."""
    a, b = params["a"], params["b"]
    return {
        "math": (a**3).sum() + (b * 2).sum(),
        "code": torch.sin(b).sum() * 5,
        "outcome": -(a * b[:3]).sum(),
    }


def take(optimizer, params, learning_rate=0.1, sources=SOURCES):
    """Do one update on the losses of these sources."""
    for source in sources:
        with optimizer.gathering(source):
            losses(params)[source].backward()
    return optimizer.step(learning_rate)


def snapshot(params):
    return {name: p.detach().double().clone() for name, p in params.items()}


@pytest.mark.parametrize(("decay", "clip"), [(0.0, math.inf), (0.2, math.inf), (0.1, 0.7)])
def test_it_is_adamw_on_the_summed_gradient(decay, clip):
    ours, theirs = parameters(), parameters()
    constants = AdamWConstants(weight_decay=decay, gradient_clip=clip)
    split = SplitAdamW(ours, SOURCES, constants, record=True)
    whole = torch.optim.AdamW(theirs.values(), lr=0.1, betas=(0.9, 0.95), weight_decay=decay)
    for step in range(1, 21):
        rate = 0.1 / step
        take(split, ours, rate)
        whole.param_groups[0]["lr"] = rate
        whole.zero_grad()
        sum(losses(theirs).values()).backward()
        nn.utils.clip_grad_norm_(theirs.values(), clip)
        whole.step()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-11, atol=1e-11)


def test_the_first_update_by_hand():
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = SplitAdamW({"w": weight}, ["x", "y"], AdamWConstants(eps=0.0), record=True)
    for source, slope in (("x", 4.0), ("y", -1.0)):
        with optimizer.gathering(source):
            (weight * slope).sum().backward()
    report = optimizer.step(0.3)
    # The sum is 3: Adam's first step is -0.3 sign; x moved by 4/3 of it and y back by 1/3.
    assert weight.item() == pytest.approx(0.7)
    parts = optimizer.segment()
    assert parts["x"]["w"].item() == pytest.approx(-0.4)
    assert parts["y"]["w"].item() == pytest.approx(0.1)
    assert (report.gradient_norm, report.clip_factor) == (3.0, 1.0)
    assert report.sources["x"].norm == 4.0
    assert (report.sources["x"].cosine, report.sources["y"].cosine) == (1.0, -1.0)


def test_momentum_goes_on_belonging_to_the_source_it_came_from():
    weight = nn.Parameter(torch.tensor([0.0], dtype=torch.float64))
    optimizer = SplitAdamW({"w": weight}, ["x", "y"], AdamWConstants(eps=0.0), record=True)
    with optimizer.gathering("x"):
        (weight * 2.0).sum().backward()
    optimizer.step(1.0)
    optimizer.begin_segment()
    optimizer.step(1.0)  # no gradient at all: x's momentum moves the weight, y's does not
    parts = optimizer.segment()
    # m = 0.1 x 0.9 x 2 over 1 - 0.9^2; v = 0.05 x 0.95 x 4 over 1 - 0.95^2.
    expected = -(0.18 / 0.19) / math.sqrt(0.19 / 0.0975)
    assert parts["x"]["w"].item() == pytest.approx(expected)
    assert parts["y"]["w"].item() == 0.0


@pytest.mark.parametrize(
    ("dtype", "relative"), [(torch.float64, 1e-14), (torch.float32, 1e-5), (torch.bfloat16, 1e-5)]
)
def test_the_parts_add_up_to_the_change_and_rounding_is_small(dtype, relative):
    params = parameters(dtype)
    optimizer = SplitAdamW(
        params, SOURCES, AdamWConstants(weight_decay=0.05, gradient_clip=2.0), record=True
    )
    before = snapshot(optimizer.masters())
    for _ in range(30):
        take(optimizer, params, 0.02)
    parts = optimizer.segment()
    assert parts.keys() == {*SOURCES, DECAY, ROUNDING}
    for name, master in optimizer.masters().items():
        change = master.double() - before[name]
        torch.testing.assert_close(
            sum(part[name].double() for part in parts.values()), change, rtol=0, atol=1e-7
        )
        assert parts[ROUNDING][name].norm() <= relative * change.norm()
        assert parts[DECAY][name].norm() > 0


def test_a_low_precision_model_follows_full_precision_masters():
    params = parameters(torch.bfloat16)
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=False)
    for _ in range(40):
        take(optimizer, params, 1e-4)  # below what bf16 can add to a weight near 1
    start = parameters(torch.bfloat16)
    for name, master in optimizer.masters().items():
        assert master.dtype == torch.float32
        assert torch.equal(params[name], master.bfloat16())
        assert float((master - start[name].detach().float()).abs().min()) > 1e-4


def test_a_model_that_begins_to_compute_in_less_keeps_its_weights_as_masters():
    params = parameters(torch.float32)
    before = snapshot(params)
    optimizer = SplitAdamW(
        params, SOURCES, AdamWConstants(), record=False, copies_in=torch.bfloat16
    )
    for name, parameter in params.items():
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(optimizer.masters()[name].double(), before[name])
        assert not torch.equal(parameter.detach().double(), before[name])
    take(optimizer, params)
    with optimizer.full_precision():
        for name, parameter in params.items():
            assert parameter.dtype == torch.float32
            assert torch.equal(parameter, optimizer.masters()[name])
    for name, parameter in params.items():
        assert torch.equal(parameter.detach(), optimizer.masters()[name].bfloat16())


def test_a_gradient_that_is_handed_over_counts_like_one_that_autograd_left():
    handed, left = parameters(), parameters()
    for params in (handed, left):
        optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=False)
        with optimizer.gathering("math"):
            (params["b"] * torch.arange(5)).sum().backward()
            if params is handed:
                params["b"].grad = None
        if params is handed:
            optimizer.add("math", params["b"], torch.arange(5))
        optimizer.step(0.1)
    assert all(torch.equal(handed[name], left[name]) for name in left)
    assert not torch.equal(handed["b"], parameters()["b"])


def test_a_segment_holds_what_happened_since_it_began():
    params = parameters()
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=True)
    take(optimizer, params)
    first, middle = {p: snapshot(own) for p, own in optimizer.segment().items()}, snapshot(params)
    optimizer.begin_segment()
    take(optimizer, params, sources=["code"])
    second = optimizer.segment()
    for name, parameter in params.items():
        both = sum(part[name] for part in second.values())
        torch.testing.assert_close(both, parameter.detach() - middle[name])
        assert not torch.equal(first["math"][name], second["math"][name])


def test_a_new_segment_uses_the_buffers_of_the_one_before():
    params = parameters()
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=True)
    take(optimizer, params)

    def places():
        parts = {part: own for part, own in optimizer.segment().items() if part != ROUNDING}
        parts["start"] = optimizer.segment_start()
        return {(part, name): own[name].data_ptr() for part, own in parts.items() for name in own}

    before = places()
    optimizer.begin_segment()
    assert places() == before
    parts = optimizer.segment()
    assert not any(tensor.any() for own in parts.values() for tensor in own.values())
    start = optimizer.segment_start()
    assert all(torch.equal(start[name], own) for name, own in optimizer.masters().items())


def test_clipping_is_by_the_norm_of_the_sum_and_shared():
    params = parameters()
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(gradient_clip=0.5), record=True)
    report = take(optimizer, params)
    assert report.clip_factor == pytest.approx(0.5 / report.gradient_norm, rel=1e-5)
    cosines = [part.norm * part.cosine for part in report.sources.values()]
    assert sum(cosines) == pytest.approx(report.gradient_norm)  # projections add up to the whole


def test_a_share_of_the_gradient_is_the_projection_on_the_whole():
    # Of the sum (3, 4) with norm 5, (3, 0) is 9 / 25, (0, 8) is 32 / 25 and (0, -4) is -16 / 25.
    parts = {"math": (3.0, 3 / 5), "code": (8.0, 4 / 5), "agent": (4.0, -4 / 5)}
    sources = {name: SourceGradient(*part) for name, part in parts.items()}
    report = UpdateReport(gradient_norm=5.0, clip_factor=1.0, sources=sources)
    shares = [report.share_of(part) for part in sources.values()]
    assert shares == pytest.approx([9 / 25, 32 / 25, -16 / 25])
    assert sum(shares) == pytest.approx(1)
    assert UpdateReport(0.0, 1.0, {}).share_of(SourceGradient(0.0, 0.0)) == 0.0


def test_a_run_goes_on_from_its_state_bit_by_bit():
    def made():
        params = parameters(torch.float32)
        constants = AdamWConstants(weight_decay=0.1, gradient_clip=1.0)
        return params, SplitAdamW(params, SOURCES, constants, record=True)

    params, straight = made()
    for _ in range(5):
        take(straight, params)
    kept = {name: tensor.clone() for name, tensor in straight.state().items()}
    for _ in range(4):
        take(straight, params)
    others, resumed = made()
    resumed.load_state(kept)
    for _ in range(4):
        take(resumed, others)
    assert all(torch.equal(params[name], others[name]) for name in params)
    ours, theirs = straight.segment(), resumed.segment()
    assert all(torch.equal(ours[p][n], theirs[p][n]) for p in ours for n in ours[p])


def test_the_state_of_another_run_is_refused():
    optimizer = SplitAdamW(parameters(), SOURCES, AdamWConstants(), record=True)
    other = SplitAdamW(parameters(), ["math"], AdamWConstants(), record=True)
    with refused("other-run", "moment/code"):
        optimizer.load_state(other.state())


@pytest.mark.parametrize("sources", [[], ["math", "math"], ["decay"], ["math", "rounding"]])
def test_sources_with_ambiguous_names_are_refused(sources):
    with refused("ambiguous-names"):
        SplitAdamW(parameters(), sources, AdamWConstants(), record=False)


def test_a_gradient_outside_every_source_is_refused():
    params = parameters()
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=False)
    losses(params)["math"].backward()
    with pytest.raises(RuntimeError, match=r"SplitAdamW\.gathering"):
        optimizer.step(0.1)


def test_a_source_that_is_not_finite_is_named_and_changes_nothing():
    params = parameters()
    optimizer = SplitAdamW(params, SOURCES, AdamWConstants(), record=True)
    before = snapshot(params)
    for source, factor in (("math", 1.0), ("code", math.nan)):
        with optimizer.gathering(source):
            (losses(params)[source] * factor).backward()
    with pytest.raises(FloatingPointError, match=r"update 1 .*nan.*\['code'\]"):
        optimizer.step(0.1)
    assert all(torch.equal(before[name], params[name].detach()) for name in params)
