"""A text model that is given a vision tower, and demonstrations with images."""

import pytest
import torch

from tasks.contracts.handover import StageLabel
from tasks.model.architecture import body_of
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy, save_policy
from tasks.model.images import reader_in
from tasks.model.log_probs import chosen_logits, pad_right
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.prompts import write_demonstrations
from tasks.sft.image_base import make_image_base
from tasks.sft.settings import ImageBaseSettings, LossMean, SftSettings, TowerSettings
from tasks.sft.steps import finetune
from tasks.sft.train import supervise
from tasks.supervised.training import Watch
from tests.support.image_models import BLUE, GREEN, RED, image_policy, picture
from tests.support.refused import refused
from tests.support.rl_runs import RlPlace
from tests.support.tiny_models import tiny_model, tiny_policy

pytestmark = pytest.mark.medium

SETTINGS = SftSettings(num_steps=60, batch_size=4, learning_rate=2e-2, warmup_steps=0)
SHORT = SETTINGS.model_copy(update={"num_steps": 2})
STAGE = StageLabel(name="sft", owner="team-grid")
SAID = {"fox": RED, "owl": GREEN, "12": BLUE}
SHOWN = [
    Demonstration((Message("user", "?", images=(picture(color),)),), (Turn("assistant", word),))
    for word, color in SAID.items()
]
PLAIN = Demonstration((Message("user", "34"),), (Turn("assistant", "46"),))


def likelihood(policy, example):
    """Return the mean log p of a demonstration's own tokens."""
    chat = ChatTokens(policy.tokenizer, images=reader_in(policy.model.config))
    turns = [(turn.role, turn.content) for turn in example.turns]
    row = chat.demonstration([vars(message) for message in example.messages], turns)
    batch = pad_right([row.ids], [row.is_response], chat.pad_id, [row.pixels])
    with torch.no_grad():
        logits = chosen_logits(policy.model, batch).log_softmax(-1)
    return float(logits.gather(-1, batch.tokens_N[:, None]).mean())


@pytest.fixture
def place(tmp_path):
    return RlPlace(tmp_path / "place")


def data(place, *rows):
    file = place.folder / f"demonstrations-{len(rows)}.jsonl"
    write_demonstrations(file, rows)
    return place.put("dataset", file)


def test_a_tower_changes_no_logit_of_text():
    text, seeing = tiny_model(0), image_policy(0).model
    ids = torch.tensor([[5, 9, 40, 7]])
    with torch.no_grad():
        own, other = text(ids).logits, seeing(ids).logits
    assert other.shape[-1] == own.shape[-1] + 1  # the token of an image
    torch.testing.assert_close(other[..., :-1], own)
    assert body_of(seeing).config.vocab_size == own.shape[-1] + 1


def test_training_with_images_tells_pictures_apart(tmp_path):
    policy = image_policy()
    chat = ChatTokens(policy.tokenizer, images=reader_in(policy.model.config))
    rows = [
        chat.demonstration(
            [vars(m) for m in each.messages], [(t.role, t.content) for t in each.turns]
        )
        for each in (*SHOWN, PLAIN)
    ]
    assert [row.pixels is None for row in rows] == [False, False, False, True]
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    supervise(policy, rows, SETTINGS, 0, tmp_path, Watch(lambda step, metrics: None))
    moved = {n for n, p in policy.model.named_parameters() if not torch.equal(p, before[n])}
    assert any("vision_tower" in name for name in moved)
    policy.model.eval()
    for example in SHOWN:
        own = likelihood(policy, example)
        others = [
            likelihood(policy, Demonstration(other.messages, example.turns))
            for other in SHOWN
            if other is not example
        ]
        assert own > max(others) + 0.5


def test_the_base_is_recorded_from_the_text_model_and_loads_where_images_are_taken(place):
    shown = data(place, *SHOWN, PLAIN)
    settings = ImageBaseSettings(tower=TowerSettings(hidden_size=16), training=SHORT)
    made = make_image_base(place.runner, place.start, [shown], settings, 0)
    derivation = place.runner.records.read(made.record)
    assert derivation.kind == "image_base"
    assert {(i.role, i.artifact) for i in derivation.inputs} == {
        ("start", place.start.digest),
        ("data", shown.digest),
    }
    folder = place.runner.store.tree(made.digest)
    assert (folder / "preprocessor_config.json").is_file()
    with refused("image-text-model"):
        load_policy(folder)
    again = finetune(place.runner, made, [shown], SHORT, 0, STAGE)
    text_alone = finetune(place.runner, made, [data(place, PLAIN)], SHORT, 0, STAGE)
    assert len({made.digest, again.digest, text_alone.digest}) == 3
    with refused("other-kind"):
        make_image_base(place.runner, shown, [shown], settings, 0)


def test_what_cannot_take_images_refuses_them_before_training(place, tmp_path):
    shown = data(place, *SHOWN)
    with refused("image-for-text-model"):
        finetune(place.runner, place.start, [shown], SHORT, 0, STAGE)
    seeing = place.put("checkpoint", save_policy(image_policy(), tmp_path / "seeing"))
    by_rows = SHORT.model_copy(update={"loss_mean": LossMean.ROWS})
    with refused("images-not-taken"):
        finetune(place.runner, seeing, [shown], by_rows, 0, STAGE)
    assert reader_in(tiny_policy().model.config) is None
