"""Images of prompts: their tokens, their pixels, and what refuses them."""

import base64

import pytest
import torch

from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy, save_policy
from tasks.model.images import embedded, reader_in
from tasks.model.log_probs import chosen_logits, pad_right
from tasks.rollout.batch import rollout_batch
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Question
from tasks.rollout.domains import make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.json_lines import PromptError
from tasks.rollout.prompts import prompt_from_json, prompt_to_json, refuse_overlap
from tasks.rollout.settings import SamplingSettings
from tests.support.image_models import BLUE, GREEN, RED, image_policy, picture, seen
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy, tokenizer

SIZE = SamplingSettings(max_new_tokens=5)


class Silence:
    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
        return Grade(0.0)


def played(policy, *prompts):
    player = make_player({"see": LocalEnvironment(Silence(), domain="see")}, policy, SIZE)
    noise = torch.rand(
        player.noise_per_rollout, len(prompts), generator=torch.Generator().manual_seed(1)
    ).T
    return player.play([Question("see", prompt) for prompt in prompts], noise)


def test_a_prompt_keeps_its_images_in_its_line():
    prompt = seen("a", picture(RED), picture(GREEN, BLUE))
    assert prompt_from_json(prompt_to_json(prompt)) == prompt
    assert "images" not in prompt_to_json(Prompt("b", (Message("user", "x"),)))["messages"][0]


@pytest.mark.parametrize(
    "images", ["x", ["no base64!"], [base64.b64encode(b"GIF89a").decode()], [7]]
)
def test_a_file_other_than_a_png_is_refused(images):
    message = {"role": "user", "content": "x", "images": images}
    with pytest.raises(PromptError, match="images"):
        prompt_from_json({"id": "a", "messages": [message]})


def test_the_same_question_of_another_image_is_another_prompt():
    one, other = seen("a", picture(RED)), seen("b", picture(BLUE))
    refuse_overlap([one], [other])
    with pytest.raises(PromptError):
        refuse_overlap([one], [seen("c", picture(RED))])


def test_each_image_has_a_token_for_each_patch_before_the_text():
    policy = image_policy()
    reader = reader_in(policy.model.config)
    chat = ChatTokens(policy.tokenizer, images=reader)
    two = chat.prompt([vars(m) for m in seen("a", picture(RED), picture(BLUE)).messages])
    none = chat.prompt([vars(m) for m in seen("a").messages])
    assert reader.num_tokens == 9  # 3 x 3 patches
    assert two.count(reader.token_id) == 18
    assert [each for each in two if each != reader.token_id] == none
    # The words of the token are words.
    said = chat.prompt([vars(m) for m in seen("a", picture(RED), said="<image>").messages])
    assert said.count(reader.token_id) == 9


def test_a_model_of_text_refuses_an_image():
    with refused("image-for-text-model"):
        ChatTokens(tokenizer()).prompt([vars(m) for m in seen("a", picture(RED)).messages])
    with refused("image-for-text-model"):
        played(tiny_policy(), seen("a", picture(RED)))


def test_a_step_of_text_refuses_a_model_of_images(tmp_path):
    folder = save_policy(image_policy(), tmp_path / "model")
    with refused("image-text-model"):
        load_policy(folder)
    again = load_policy(folder, takes_images=True)
    for name, tensor in image_policy().model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


def test_embeddings_are_those_of_the_model_itself():
    policy = image_policy()
    chat = ChatTokens(policy.tokenizer, images=reader_in(policy.model.config))
    prompts = [seen("a", picture(RED)), seen("b"), seen("c", picture(BLUE), picture(GREEN, RED))]
    for prompt in prompts:
        row = torch.tensor([chat.prompt([vars(m) for m in prompt.messages])])
        pixels = chat.images.pixels(prompt.messages[0].images)
        own = policy.model(input_ids=row, pixel_values=pixels).logits[0, :-1]
        ours = chosen_logits(
            policy.model,
            pad_right(row.tolist(), [[False] + [True] * (row.shape[1] - 1)], 0, [pixels]),
        )
        torch.testing.assert_close(ours, own.float())


def test_an_image_token_that_the_policy_wrote_is_text():
    policy = image_policy()
    reader = reader_in(policy.model.config)
    ids = torch.tensor([[reader.token_id] * 10])
    found = embedded(policy.model, ids, (reader.pixels([picture(RED)]),))
    word = policy.model.get_input_embeddings()(ids)[0, 9]
    assert torch.equal(found[0, 9], word)
    assert not torch.equal(found[0, 8], word)


def test_the_sampler_sees_each_prompts_own_image():
    policy = image_policy()
    prompts = [seen("a", picture(RED)), seen("b", picture(BLUE)), seen("c", said="fox owl 12")]
    together = played(policy, *prompts, *prompts)
    assert [rollout.pixels is not None for rollout in together[:3]] == [True, True, False]
    with torch.no_grad():
        for rollout in together:
            logits = chosen_logits(policy.model, rollout_batch([rollout], 0))
            own = torch.log_softmax(logits, -1)
            sampled = [
                n for n, is_own in zip(rollout.ids, rollout.is_response, strict=True) if is_own
            ]
            found = own[range(len(sampled)), sampled]
            told = [n for n in rollout.sampler_log_probs if n]
            torch.testing.assert_close(found, torch.tensor(told), atol=1e-4, rtol=1e-4)
    # Another image gives other numbers to the same tokens.
    swapped = rollout_batch([together[0]], 0)
    other = chosen_logits(
        policy.model,
        pad_right([together[0].ids], [together[0].is_response], 0, [together[1].pixels]),
    )
    assert not torch.allclose(chosen_logits(policy.model, swapped), other, atol=1e-2)
