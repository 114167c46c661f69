"""RL on prompts with images, alone and beside text, and what refuses them."""

import pytest
import torch

from tasks.model.files import load_policy, save_policy
from tasks.model.settings import AdapterSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.attempt import InterruptedAttemptError
from tasks.rollout.prompts import write_prompts
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.image_models import BLUE, GREEN, RED, image_policy, picture, seen
from tests.support.refused import refused
from tests.support.rl_runs import RlPlace, rl_settings

SETTINGS = {
    "loop": {"inner_updates": 2, "normalization": "global_batch"},
    "ratio": {
        "base": "old",
        "clip": {"low": 0.01, "high": 0.01, "rule": "sign_free"},
        "squared_log": 0.01,
    },
    "advantage": {"scale": "none"},
    "kl": {"coefficient": 0.01},
    "sampling": SamplingSettings(max_new_tokens=4, allow_unconfined=True),
}


class ImagePlace(RlPlace):
    """A store whose start reads images, with a domain of pictures and one of text."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seeing = self.put("checkpoint", save_policy(image_policy(), folder / "seeing"))

    def both(self):
        file = self.folder / "pictures.jsonl"
        shown = [(RED,), (GREEN,), (BLUE,), (RED, BLUE)]
        write_prompts(file, [seen(f"p{n}", picture(*own)) for n, own in enumerate(shown)])
        pictures = self.domain("odd", owner="team-odd")
        return [
            self.domain("even"),
            pictures.model_copy(update={"train": self.put("dataset", file)}),
        ]

    def seen_weights(self, checkpoint):
        policy = load_policy(self.runner.store.tree(checkpoint.digest), takes_images=True)
        return dict(policy.model.named_parameters())


@pytest.fixture
def place(tmp_path):
    return ImagePlace(tmp_path / "place")


def test_text_and_images_share_a_run_that_trains_the_tower(place):
    settings = rl_settings(1, **SETTINGS)
    ladder, metrics = place.run(settings, place.both(), start=place.seeing)
    assert {"reward/even", "reward/odd"} <= metrics.keys()
    assert metrics["sampler_gap"][0] < 1e-4  # sampler and learner see the same images
    start, end = (place.seen_weights(each) for each in (place.seeing, ladder[-1].checkpoint))
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert any("vision_tower" in name for name in changed)
    assert any("language_model" in name for name in changed)


@pytest.mark.slow
def test_a_stopped_run_on_images_ends_in_the_same_bits(place, tmp_path):
    settings = rl_settings(3, **SETTINGS)
    ladder, metrics = place.run(settings, place.both(), start=place.seeing)
    again = ImagePlace(tmp_path / "again")
    with pytest.raises(InterruptedAttemptError):
        again.run(settings, again.both(), start=again.seeing, stop_at=2)
    resumed, told = again.run(settings, again.both(), start=again.seeing)
    assert resumed[-1].checkpoint.digest == ladder[-1].checkpoint.digest
    assert told == metrics


def test_a_text_policy_refuses_pictures_before_training(place):
    with refused("image-for-text-model"):
        place.run(rl_settings(1, **SETTINGS), place.both())


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"loop": {"adapter": AdapterSettings(rank=2)}}, "loop.adapter"),
        ({"value": {"start": "policy", "learning_rate": 1e-3}, "advantage": {}}, "value"),
        ({"hint": {"rules": [{"pattern": "x", "hint": "y"}]}}, "hint"),
    ],
)
def test_what_was_not_built_for_images_is_named(place, more, named):
    settings = rl_settings(2, **{**SETTINGS, "loop": {}, "ratio": {}, "kl": None, **more})
    with refused("images-not-taken", named):
        place.run(settings, place.both(), start=place.seeing)


def test_a_server_refuses_a_policy_that_reads_images(place):
    server = VllmServer(
        url="http://127.0.0.1:1", served_model="p", weights_folder=str(place.folder)
    )
    sampling = SamplingSettings(engine=SamplingEngine.VLLM, vllm=server, allow_unconfined=True)
    settings = rl_settings(1, sampling=sampling)
    assert settings.loop == LoopSettings(num_steps=1, learning_rate=1e-2, warmup_steps=0)
    with refused("images-not-served"):
        place.run(settings, place.both(), start=place.seeing)
