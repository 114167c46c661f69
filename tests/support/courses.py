"""A short course of training made by hand: a tiny model, and who moved it where."""

import torch

from tasks.attribution.behavior import Behavior, encode
from tasks.attribution.trajectory import Scorer, Stretch
from tasks.ledger.schema import Segment
from tasks.model.chat import ChatTokens
from tests.support.tiny_models import tiny_model, tokenizer


def behavior(prompt="fox 12+34=", response="46", contrast=None, **more):
    return Behavior(
        prompt=[{"role": "user", "content": prompt}], response=response, contrast=contrast, **more
    )


def encoded(*behaviors):
    return encode(behaviors, ChatTokens(tokenizer()), 96)


def scorer(batch):
    return Scorer(tiny_model(), batch.tokens)


def weights(seed=0):
    return {name: p.detach().clone() for name, p in tiny_model(seed).named_parameters()}


def direction(seed, size):
    """Return a random displacement of this norm."""
    generator = torch.Generator().manual_seed(seed)
    made = {n: torch.randn(t.shape, generator=generator) for n, t in weights().items()}
    norm = torch.stack([t.square().sum() for t in made.values()]).sum().sqrt()
    return {name: tensor * (size / norm) for name, tensor in made.items()}


def course(*segments):
    """Yield stretches from segments given as part to displacement."""
    now = weights()
    for place, parts in enumerate(segments):
        segment = Segment(
            first_step=place * 10 + 1,
            last_step=place * 10 + 10,
            file="",
            start="",
            end="",
            norms=dict.fromkeys(parts, 1.0),
            change=1.0,
            lost=0.0,
        )
        stretch = Stretch(segment, now, parts)
        yield stretch
        now = stretch.at(1.0)
