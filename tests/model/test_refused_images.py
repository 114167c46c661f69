"""Steps that read text alone: each refuses a model of images, and prompts with images, by name."""

import pytest

from tasks.contracts.handover import StageLabel
from tasks.merge.settings import SoupSettings
from tasks.merge.soup import WeightedCheckpoint, merge_checkpoints
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mid_training.steps import TextData, read_on
from tasks.model.files import save_policy
from tasks.preference.settings import PreferenceSettings
from tasks.preference.steps import PreferenceData, learn_preferences
from tasks.rejection_sampling.pools import conversation_of
from tasks.reward_model.settings import RewardModelSettings
from tasks.reward_model.steps import RewardData, train_reward_model
from tasks.rollout.environment import Turn
from tasks.rollout.responses import ScoredResponse, read_comparisons, write_comparisons
from tasks.rollout.texts import TextDocument, refuse_evaluated, write_texts
from tasks.scoring.judge import score_prompt
from tests.support.image_models import BLUE, RED, image_policy, picture, seen
from tests.support.judges import SETTINGS
from tests.support.preferences import pair
from tests.support.refused import refused
from tests.support.rl_runs import RlPlace

LABEL = StageLabel(name="x", owner="team-x")
SHORT = {"num_steps": 1, "learning_rate": 1e-3, "warmup_steps": 0}


class Bench(RlPlace):
    def __init__(self, folder):
        super().__init__(folder)
        self.seeing = self.put("checkpoint", save_policy(image_policy(), folder / "seeing"))

    def text(self):
        file = self.folder / "text.jsonl"
        write_texts(file, [TextDocument("fox owl", "x", "MIT")])
        return self.put("text", file)

    def comparisons(self, **changed):
        file = self.folder / "comparisons.jsonl"
        write_comparisons(file, [pair(prompt=f"{n}+1", **changed) for n in range(4)])
        return self.put("comparisons", file)


def mid_training(bench, start):
    data = TextData([bench.text()])
    settings = MidTrainingSettings(**SHORT, row_tokens=4)
    read_on(bench.runner, start, data, settings, 0, LABEL)


def preferences(bench, start, **changed):
    data = PreferenceData([bench.comparisons(**changed)])
    learn_preferences(bench.runner, start, data, PreferenceSettings(**SHORT), 0, LABEL)


def reward(bench, start, **changed):
    data = RewardData([bench.comparisons(**changed)], [])
    settings = RewardModelSettings(**SHORT, held_out_share=0.0)
    train_reward_model(bench.runner, start, data, settings, 0, LABEL)


def soup(bench, start):
    models = [WeightedCheckpoint(name=name, checkpoint=start) for name in "ab"]
    merge_checkpoints(bench.runner, start, models, SoupSettings(), 0, LABEL)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "place")


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (mid_training, "image-text-model"),
        (preferences, "image-text-model"),
        (soup, "image-text-model"),
        (reward, "no-reward-head"),
    ],
)
def test_a_step_of_text_refuses_a_model_of_images(bench, step, code):
    with refused(code, "Llava"):
        step(bench, bench.seeing)


@pytest.mark.parametrize("step", [preferences, reward])
def test_comparisons_with_images_are_kept_whole_and_refused(bench, step):
    shown = seen("a", picture(RED)).messages
    with refused("image-for-text-model"):
        step(bench, bench.start, messages=shown)
    file = bench.folder / "comparisons.jsonl"
    assert {comparison.messages for comparison in read_comparisons(file)} == {shown}


def response(prompt):
    return ScoredResponse("see", prompt, (Turn("assistant", "r"),), "x", {"grade": 1.0}, 1)


def test_a_judge_refuses_a_prompt_with_an_image():
    with refused("image-for-text-model"):
        score_prompt(response(seen("a", picture(RED))), SETTINGS)


def test_an_image_makes_another_conversation_and_another_question():
    one, other = (response(seen("a", picture(color))) for color in (RED, BLUE))
    assert conversation_of(one) != conversation_of(other)
    document = TextDocument("the fox is here", "x", "MIT")
    refuse_evaluated([document], [seen("a", picture(RED), said="fox")])
    with refused("evaluated-text"):
        refuse_evaluated([document], [seen("a", said="fox")])
