"""Episodes against a model's positions: what fits is played to the last one, the rest is named."""

import pytest
import torch

from tasks.model.files import Policy
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Question
from tasks.rollout.domains import make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tokenizer

POSITIONS, TURN = 64, 16


class Asking:
    """Answers each turn with one digit until there were so many turns."""

    def __init__(self, max_turns):
        self.max_turns = max_turns

    def respond(self, prompt, turns):
        return "7"

    def grade(self, prompt, turns):
        return Grade(1.0)


def player_of(max_turns=1, *, ends=False):
    """Return a player of a model that never ends a turn by itself, or does so at once."""
    model = tiny_model(max_positions=POSITIONS)
    end = tokenizer().eos_token_id
    model.lm_head = torch.nn.Linear(model.config.hidden_size, len(tokenizer()))
    torch.nn.init.zeros_(model.lm_head.weight)
    torch.nn.init.zeros_(model.lm_head.bias)
    model.lm_head.bias.data[end] = 99.0 if ends else -99.0
    environments = {"math": LocalEnvironment(Asking(max_turns))}
    settings = SamplingSettings(max_new_tokens=TURN)
    return make_player(environments, Policy(model, tokenizer()), settings)


def question_of(player, num_tokens):
    """Return a question with a prompt of so many tokens."""
    frame = len(player.contexts([_digits(0)])[0])
    return _digits(num_tokens - frame)


def _digits(count):
    return Question("math", Prompt("long", (Message("user", "1" * count),)))


def play(player, question):
    (rollout,) = player.play([question], torch.rand(1, player.noise_per_rollout))
    return rollout


def test_a_prompt_and_a_turn_of_exactly_all_positions_are_played():
    player = player_of()
    rollout = play(player, question_of(player, POSITIONS - TURN))
    assert len(rollout.ids) == POSITIONS
    assert (rollout.num_response_tokens, rollout.without_room) == (TURN, False)


@pytest.mark.parametrize("num_tokens", [POSITIONS - TURN + 1, POSITIONS + 9])
def test_one_token_more_is_refused_by_prompt_tokens_and_positions(num_tokens):
    player = player_of()
    question = question_of(player, num_tokens)
    with refused("prompt-too-long", "'long'", f" {num_tokens} tokens", f" {POSITIONS} positions"):
        player.refuse_too_long([question])


def test_an_episode_without_room_for_a_second_turn_is_cut_also_if_its_first_ended():
    # The end token takes one position, so of the room for two turns some is left, but too little.
    player = player_of(2, ends=True)
    cut = play(player, question_of(player, POSITIONS - TURN - 1))
    assert [turn.role for turn in cut.turns] == ["assistant"]
    assert (cut.num_response_tokens, cut.truncated, cut.without_room) == (1, True, True)
    reply = len(player._chat.tool_reply("7"))
    fits = play(player, question_of(player, POSITIONS - TURN - 1 - reply))
    assert [turn.role for turn in fits.turns] == ["assistant", "tool", "assistant"]
    assert (fits.num_response_tokens, fits.truncated, fits.without_room) == (2, False, False)
    one_more = play(player, question_of(player, POSITIONS - TURN - reply))
    assert (one_more.num_response_tokens, one_more.without_room) == (1, True)
