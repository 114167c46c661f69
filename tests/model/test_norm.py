"""A norm written by hand gives the numbers and derivatives of the model's own."""

import copy

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from tasks.model.kernels.norms import _Normed, leave_norms_to_the_model, write_norms_by_hand
from tasks.sft.scratch import make_model
from tests.support.tiny_models import SIZES, tokenizer

EPSILON = 1e-6


def plain_model():
    return make_model(tokenizer(), SIZES, 0).eval()


def test_a_norm_by_hand():
    # mean(3^2, 4^2) = 12.5, so rms = 3.5355 and u = (0.8485, 1.1314); y = (2, 0.5) u.
    x = torch.tensor([[3.0, 4.0]], requires_grad=True)
    weight = torch.tensor([2.0, 0.5], requires_grad=True)
    y = _Normed.apply(x, weight, 0.0)
    torch.testing.assert_close(y, torch.tensor([[1.69706, 0.56569]]), rtol=1e-4, atol=1e-4)
    y[0, 0].backward()
    # dy_0/dw = (u_0, 0); dy_0/dx_0 = 2 (1 - u_0^2 / 2) / rms, dy_0/dx_1 = -2 u_0 u_1 / 2 / rms.
    torch.testing.assert_close(weight.grad, torch.tensor([0.84853, 0.0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x.grad, torch.tensor([[0.36204, -0.27153]]), rtol=1e-4, atol=1e-4)


def test_the_derivative_is_that_of_finite_differences():
    x = torch.randn(3, 2, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *of: _Normed.apply(*of, EPSILON), (x, weight))


def test_a_model_with_patched_norms_predicts_and_learns_the_same():
    plain = plain_model()
    ours = copy.deepcopy(plain)
    write_norms_by_hand(ours)
    assert "forward" in vars(ours.model.layers[0].self_attn.q_norm)
    found = []
    for model in (plain, ours, copy.deepcopy(ours)):
        logits = model(torch.tensor([[5, 6, 7, 8]])).logits
        logits.square().mean().backward()
        found.append((logits.detach(), {n: p.grad for n, p in model.named_parameters()}))
    (logits, gradients), *others = found
    for also_logits, also_gradients in others:
        torch.testing.assert_close(also_logits, logits)
        for name, gradient in gradients.items():
            torch.testing.assert_close(also_gradients[name], gradient, rtol=1e-4, atol=1e-5)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    leave_norms_to_the_model(ours)
    assert torch.equal(ours(torch.tensor([[5, 6, 7, 8]])).logits, logits)
    assert not any("forward" in vars(module) for module in ours.modules())


def test_in_bf16_the_models_own_norm_rounds_as_ever():
    plain = plain_model()
    ours = copy.deepcopy(plain)
    write_norms_by_hand(ours)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(ours.bfloat16()(ids).logits, plain.bfloat16()(ids).logits)


def test_a_model_that_is_bf16_already_keeps_its_rounding_on_a_cpu():
    plain = plain_model().bfloat16()
    ours = copy.deepcopy(plain)
    write_norms_by_hand(ours)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert "forward" in vars(ours.model.norm)  # on a GPU it is used: teachers are loaded before
    assert torch.equal(ours(ids).logits, plain(ids).logits)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_on_a_gpu_a_norm_is_one_kernel_with_the_same_numbers(dtype, close):
    plain = plain_model().to("cuda")
    ours = copy.deepcopy(plain)
    write_norms_by_hand(ours)
    found = []
    for model in (plain.to(dtype), ours.to(dtype)):
        logits = model(torch.tensor([[5, 6, 7, 8]], device="cuda")).logits
        logits.float().square().mean().backward()
        found.append((logits.detach(), {n: p.grad for n, p in model.named_parameters()}))
    (logits, gradients), (ours_logits, ours_gradients) = found
    room = close * float(logits.abs().max())
    torch.testing.assert_close(ours_logits, logits, rtol=close, atol=room)
    for name, gradient in gradients.items():
        room = close * float(gradient.abs().max())
        torch.testing.assert_close(ours_gradients[name], gradient, rtol=close, atol=room)
    with torch.profiler.profile(acc_events=True) as seen:
        ours.model.norm(torch.ones(2, 16, dtype=dtype, device="cuda"))
    assert "aten::_fused_rms_norm" in {event.key for event in seen.key_averages()}


def test_a_norm_of_another_form_is_left_as_it_is():
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "head_dim": 8}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, pad_token_id=0))
    model.model.norm.variance_epsilon = EPSILON  # as if it were called like the others
    with torch.no_grad():
        model.model.norm.weight.fill_(0.5)  # stands for 1.5
    write_norms_by_hand(model)
    assert not any("forward" in vars(module) for module in model.modules())


def test_lost_weights_stay_lost():
    model = plain_model()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    write_norms_by_hand(model)
    assert bool(model(torch.tensor([[5, 6]])).logits.isnan().all())


@pytest.mark.parametrize("shape", [(1, 4), (7, 4), (2, 3, 4)])
def test_any_number_of_dimensions(shape):
    x, weight = torch.randn(shape, requires_grad=True), torch.ones(4, requires_grad=True)
    y = _Normed.apply(x, weight, EPSILON)
    y.sum().backward()
    torch.testing.assert_close(y, x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt())
    assert [x.grad.shape, weight.grad.shape] == [x.shape, weight.shape]
