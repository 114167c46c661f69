"""Hidden states in the plain way, their gradients, and sizes of small models of any kind."""

import torch

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "pad_token_id": 0,
}


def plain_hidden(model, batch):
    """Return the hidden states before the chosen tokens, with every row read whole."""
    hidden_BSD = model.base_model(input_ids=batch.ids_BS, use_cache=False).last_hidden_state
    return hidden_BSD[batch.rows_N, batch.columns_N - 1]


def gradients(model, hidden_ND):
    """Return the weights' gradients of a sum in which each number has a factor of its own."""
    model.zero_grad()
    weights_ND = torch.arange(float(hidden_ND.numel())).view_as(hidden_ND).sin()
    (hidden_ND * weights_ND).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
