"""Muon for the matrices inside, AdamW for the rest; a schedule reaches both."""

import pytest
import torch

from tasks.supervised.optimizers import MUON_TO_ADAMW, MuonWithAdamW
from tests.support.tiny_models import tiny_model


def with_gradients(seed=0):
    """Return a tiny model, a gradient at every parameter, and its optimizer at a rate of 0.01."""
    model = tiny_model()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model, MuonWithAdamW(model, learning_rate=0.01, weight_decay=0.0)


def steps_of(model, optimizer):
    """Step, and return how each parameter moved, by name."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def is_inside(name):
    return name.endswith("proj.weight")


def test_every_parameter_belongs_to_exactly_one_group():
    model, optimizer = with_gradients()
    inside, rest = ([id(p) for p in group["params"]] for group in optimizer.param_groups)
    assert sorted(inside + rest) == sorted(map(id, model.parameters()))
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(is_inside(names[p]) for p in inside)
    assert not any(is_inside(names[p]) for p in rest)
    assert "model.embed_tokens.weight" in {names[p] for p in rest}


def test_embeddings_and_vectors_take_adamws_first_step_at_half_the_rate():
    model, optimizer = with_gradients()
    signs = {name: p.grad.sign() for name, p in model.named_parameters()}
    for name, step in steps_of(model, optimizer).items():
        if not is_inside(name):
            # AdamW's first step is the rate times the sign: 0.01 / 2.
            torch.testing.assert_close(step, -0.005 * signs[name], rtol=1e-3, atol=1e-5)
    assert MUON_TO_ADAMW == 0.5


def test_matrices_inside_take_an_orthogonal_step():
    model, optimizer = with_gradients()
    for name, step in steps_of(model, optimizer).items():
        if is_inside(name):
            # Muon scaled to AdamW: singular values near rate x 0.2 x sqrt(longer side); its
            # iteration does not quite end there, by design.
            near = 0.01 * 0.2 * max(step.shape) ** 0.5
            values = torch.linalg.svdvals(step) / near
            assert values.min() > 0.4
            assert values.max() < 1.4


def test_a_step_goes_against_the_gradient():
    model, optimizer = with_gradients()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    for name, step in steps_of(model, optimizer).items():
        assert (step * gradients[name]).sum() < 0


def test_a_schedule_reaches_both_optimizers():
    model, optimizer = with_gradients()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step == 0 else 0.5)
    assert all(step.abs().max() == 0 for step in steps_of(model, optimizer).values())
    schedule.step()
    moved = steps_of(model, optimizer)
    # Half of half the rate for the rest, and something for the matrices.
    assert moved["model.norm.weight"].abs().max().item() == pytest.approx(0.0025, rel=0.1)
    assert all(step.abs().max() > 0 for step in moved.values())


@pytest.mark.parametrize(("stopped", "moving"), [(0, 1), (1, 0)])
def test_copied_parameter_groups_keep_their_learning_rate(stopped, moving):
    model, optimizer = with_gradients()
    # As accelerate does when it prepares an optimizer.
    optimizer.param_groups = [dict(group) for group in optimizer.param_groups]
    optimizer.param_groups[stopped]["lr"] = 0.0
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [{names[id(p)] for p in group["params"]} for group in optimizer.param_groups]
    moved = {name for name, step in steps_of(model, optimizer).items() if step.abs().max() > 0}
    assert moved == groups[moving]


def test_decay_shrinks_what_has_no_gradient():
    model = tiny_model()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    MuonWithAdamW(model, learning_rate=0.5, weight_decay=0.1).step()
    for name, parameter in model.named_parameters():
        # 1 - 0.5 x 0.1 for the matrices; 1 - 0.25 x 0.1 for the rest.
        kept = 0.95 if is_inside(name) else 0.975
        torch.testing.assert_close(parameter.detach(), before[name] * kept)


def test_clearing_gradients_clears_those_of_both():
    model, optimizer = with_gradients()
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_output_head_of_its_own_is_left_to_adamw():
    model = tiny_model()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    inside, _ = MuonWithAdamW(model, learning_rate=0.01, weight_decay=0.0).param_groups
    assert id(model.lm_head.weight) not in {id(p) for p in inside["params"]}
