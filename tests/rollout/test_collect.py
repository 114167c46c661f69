"""Episodes are played turn by turn: what the environment says is masked, and all is graded."""

from dataclasses import replace

import pytest
import torch

from tasks.model.chat import ChatTokens
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Player, Question
from tasks.rollout.domains import play as play_seeded
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.room import Room
from tasks.rollout.sampling.sampler import ModelTurn
from tasks.rollout.settings import SamplingSettings
from tasks.sft.scratch import CHAT_TEMPLATE
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer, with_template

CHAT = ChatTokens(tokenizer())
TOKENS_A_TURN = 8


class Scripted:
    """A sampler that says for each question what is written down; ``~`` cuts a turn short."""

    def __init__(self, script):
        self.script = script
        self.batches = []
        self.noise = []

    def sample(self, contexts, noise):
        texts = [tokenizer().decode(ids) for ids in contexts]
        self.batches.append(texts)
        self.noise.append(noise)
        return [self._turn(text) for text in texts]

    def _turn(self, text):
        question = text.split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
        said = self.script[question][text.count("<|im_start|>tool")]
        ids = CHAT.answer(said.rstrip("~"))
        ids = ids[:-1] if said.endswith("~") else ids
        # A number of its own for each token: -1, -2, ...
        return ModelTurn(tuple(ids), tuple(-1.0 - n for n in range(len(ids))), said[-1:] != "~")


class Echo:
    """Answers ``?x`` with ``xx``, ends at anything else, and gives 1 for a last turn ``yes``."""

    max_turns = 3

    def __init__(self):
        self.asked = []

    def respond(self, prompt, turns):
        self.asked.append(prompt.id)
        said = turns[-1].content
        return said[1:] * 2 if said.startswith("?") else None

    def grade(self, prompt, turns):
        return Grade(float(turns[-1].content == "yes"), prompt.id)


def play(script, *, batch_size=256, environments=None, domains=None, seed=0):
    """Play a script's questions in order; return (rollouts, sampler, environments).

    ``domains`` are those of the questions, ``echo`` for all unless given.
    """
    sampler, environments = Scripted(script), environments or {"echo": Echo()}
    clients = {name: LocalEnvironment(one, domain=name) for name, one in environments.items()}
    settings = SamplingSettings(max_new_tokens=TOKENS_A_TURN)
    player = Player(clients, sampler, CHAT, settings, batch_size=batch_size)
    questions = [
        Question(domain, Prompt(f"id-{name}", (Message("user", name),)))
        for name, domain in zip(script, domains or ["echo"] * len(script), strict=True)
    ]
    noise = torch.rand(
        len(script), player.noise_per_rollout, generator=torch.Generator().manual_seed(seed)
    )
    return player.play(questions, noise), sampler, environments


def written(rollout):
    """Return the text that a rollout's mask says the policy wrote."""
    pairs = zip(rollout.ids, rollout.is_response, strict=True)
    return tokenizer().decode([token for token, flag in pairs if flag])


def test_an_episode_holds_the_prompt_the_turns_and_the_replies_as_the_template_has_them():
    (rollout,), _, _ = play({"fox": ["?a", "?bc", "yes"]})
    assert rollout.turns == (
        Turn("assistant", "?a"),
        Turn("tool", "aa"),
        Turn("assistant", "?bc"),
        Turn("tool", "bcbc"),
        Turn("assistant", "yes"),
    )
    said = [{"role": turn.role, "content": turn.content} for turn in rollout.turns]
    whole = tokenizer().apply_chat_template(
        [{"role": "user", "content": "fox"}, *said], tokenize=False
    )
    assert tokenizer().decode(rollout.ids) + "\n" == whole


def test_tool_answers_and_prompts_are_masked():
    (rollout,), _, _ = play({"fox": ["?a", "?bc", "yes"]})
    assert written(rollout) == "?a<|im_end|>?bc<|im_end|>yes<|im_end|>"


def test_each_token_keeps_the_log_probability_that_it_was_sampled_with():
    (rollout,), _, _ = play({"fox": ["?a", "no"]})
    pairs = zip(rollout.sampler_log_probs, rollout.is_response, strict=True)
    sampled = [log_prob for log_prob, flag in pairs if flag]
    first, second = len(CHAT.answer("?a")), len(CHAT.answer("no"))
    assert sampled == [-1.0 - n for n in range(first)] + [-1.0 - n for n in range(second)]
    assert rollout.num_response_tokens == first + second
    pairs = zip(rollout.sampler_log_probs, rollout.is_response, strict=True)
    masked = [log_prob for log_prob, flag in pairs if not flag]
    assert set(masked) == {0.0}


def test_a_turn_that_was_cut_gets_no_reply_and_ends_the_episode():
    (cut, whole), sampler, environments = play({"fox": ["?a~"], "owl": ["?a", "yes"]})
    assert cut.truncated
    assert cut.turns == (Turn("assistant", "?a"),)
    assert written(cut) == "?a"
    assert not whole.truncated
    assert whole.grade.score == 1.0
    assert "id-fox" not in environments["echo"].asked
    assert [len(batch) for batch in sampler.batches] == [2, 1]


def test_a_later_turn_that_was_cut_counts_as_truncated_too():
    (rollout,), _, _ = play({"fox": ["?a", "yes~"]})
    assert rollout.truncated


def test_the_model_gets_no_more_turns_than_the_environment_allows():
    (rollout,), sampler, environments = play({"fox": ["?a", "?b", "?c", "never said"]})
    assert [turn.role for turn in rollout.turns] == ["assistant", "tool"] * 2 + ["assistant"]
    assert len(sampler.batches) == 3
    assert environments["echo"].asked == ["id-fox"] * 2  # the last turn is graded, not answered


def test_an_empty_reply_is_a_reply():
    (rollout,), _, _ = play({"fox": ["?", "yes"]})
    assert [turn.content for turn in rollout.turns] == ["?", "", "yes"]


def with_turns(max_turns):
    """Return an environment that allows so many turns."""
    environment = Echo()
    environment.max_turns = max_turns
    return environment


def test_an_environment_of_one_turn_never_replies():
    (rollout,), _, environments = play({"fox": ["?a"]}, environments={"echo": with_turns(1)})
    assert rollout.turns == (Turn("assistant", "?a"),)
    assert environments["echo"].asked == []


def test_domains_share_batches_and_each_keeps_its_own_number_of_turns():
    environments = {"one": with_turns(1), "two": with_turns(2), "three": with_turns(3)}
    script = {name: ["?a", "?b", "?c", "never said"] for name in ("fox", "owl", "cat", "dog")}
    domains = ["two", "one", "three", "two"]
    rollouts, sampler, _ = play(script, environments=environments, domains=domains)
    assert [rollout.domain for rollout in rollouts] == domains
    said = [sum(turn.role == "assistant" for turn in rollout.turns) for rollout in rollouts]
    assert said == [2, 1, 3, 2]
    # All write first; "one" is through; then the two of "two" are.
    assert [len(batch) for batch in sampler.batches] == [4, 3, 1]


def test_each_domains_environment_answers_and_grades_its_own_and_no_others():
    environments = {"first": Echo(), "second": Echo()}
    script = {"fox": ["?a", "yes"], "owl": ["?b", "no"], "cat": ["?c", "yes"]}
    rollouts, _, _ = play(script, environments=environments, domains=["second", "first", "second"])
    # Each is asked after both of its turns; the second ends the episode.
    assert environments["first"].asked == ["id-owl"] * 2
    assert environments["second"].asked == ["id-fox", "id-cat"] * 2
    assert [rollout.grade.reason for rollout in rollouts] == ["id-fox", "id-owl", "id-cat"]
    assert [rollout.grade.score for rollout in rollouts] == [1.0, 0.0, 1.0]


def test_a_question_of_a_domain_without_an_environment_is_refused():
    with refused("missing-environment", "law"):
        play({"fox": ["yes"]}, domains=["law"])


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_rollouts_and_grades_come_in_the_order_of_the_prompts(batch_size):
    script = {
        "a long question": ["yes"],
        "fox": ["?a", "no"],
        "a much longer question": ["no"],
        "owl": ["?a", "?b", "yes"],
        "a": ["yes~"],
    }
    rollouts, sampler, _ = play(script, batch_size=batch_size)
    ids = [f"id-{name}" for name in script]
    assert [rollout.prompt.id for rollout in rollouts] == ids
    assert [rollout.grade.reason for rollout in rollouts] == ids
    assert [rollout.grade.score for rollout in rollouts] == [1.0, 0.0, 0.0, 1.0, 1.0]
    assert [rollout.turns[0].content for rollout in rollouts] == ["yes", "?a", "no", "?a", "yes"]
    assert {rollout.domain for rollout in rollouts} == {"echo"}
    assert max(len(batch) for batch in sampler.batches) <= batch_size


def test_contexts_of_like_length_share_a_batch():
    names = ["fox owl fox owl", "a", "fox owl fox", "b"]
    _, sampler, _ = play({name: ["yes"] for name in names}, batch_size=2)
    questions = [[text.split("user\n")[1].split("<")[0] for text in b] for b in sampler.batches]
    assert questions == [["a", "b"], ["fox owl fox", "fox owl fox owl"]]


def test_each_prompt_keeps_its_own_noise_in_every_batch_and_turn():
    # Three turns of 8 tokens: row r of the noise belongs to prompt r, columns 8 t to turn t.
    noise = torch.rand(3, 3 * TOKENS_A_TURN, generator=torch.Generator().manual_seed(5))
    script = {"fox owl fox": ["?a", "yes"], "a": ["?a", "yes"], "fox owl": ["yes"]}
    _, sampler, _ = play(script, batch_size=1, seed=5)
    seen = [n[0, :TOKENS_A_TURN] for n in sampler.noise]
    # By length: the prompts 1, 2, 0; then those that go on, 1 and 0, with their second turn.
    expected = [(1, 0), (2, 0), (0, 0), (1, 8), (0, 8)]
    for given, (row, start) in zip(seen, expected, strict=True):
        assert torch.equal(given, noise[row, start : start + TOKENS_A_TURN])


def test_a_seed_gives_each_prompt_the_same_noise_for_every_policy():
    prompts = [Prompt(f"id-{name}", (Message("user", name),)) for name in ("fox", "owl")]
    settings, seen = SamplingSettings(max_new_tokens=TOKENS_A_TURN), []
    for script, seed in (("yes", 3), ("no", 3), ("yes", 4)):
        sampler = Scripted({"fox": [script], "owl": [script]})
        player = Player({"echo": LocalEnvironment(Echo())}, sampler, CHAT, settings)
        rollouts = play_seeded(player, "echo", prompts, seed)
        assert [rollout.domain for rollout in rollouts] == ["echo", "echo"]
        seen.append(sampler.noise[0])
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_no_prompts_are_refused():
    with refused("no-prompts"):
        play({})


def test_a_prompt_that_does_not_fit_the_model_is_refused_by_domain_and_name():
    def player_of(max_context):
        settings, clients = SamplingSettings(max_new_tokens=8), {"echo": LocalEnvironment(Echo())}
        return Player(clients, Scripted({}), CHAT, settings, room=Room(max_context))

    questions = [
        Question("echo", Prompt(name, (Message("user", text),)))
        for name, text in (("short", "fox"), ("long", "fox owl fox owl"))
    ]
    lengths = [
        len(CHAT.prompt([{"role": "user", "content": t}])) for t in ("fox", "fox owl fox owl")
    ]
    assert lengths[0] < lengths[1]
    with refused("prompt-too-long", "'long'", "'echo'", str(lengths[1])):
        player_of(lengths[1] + 7).refuse_too_long(questions)
    with refused("prompt-too-long", "'long'", "'echo'", str(lengths[1])):
        player_of(lengths[1] + 7).play(questions, torch.zeros(2, 24))
    player_of(lengths[1] + 8).refuse_too_long(questions)


def test_a_prompt_is_rendered_once(monkeypatch):
    # A template with a mode, which changes what a prompt says.
    thinking = CHAT_TEMPLATE + "{{ enable_thinking if enable_thinking is defined }}"
    chat, rendered = ChatTokens(with_template(thinking)), []
    render = chat.prompt
    monkeypatch.setattr(chat, "prompt", lambda *of: rendered.append(of) or render(*of))
    settings = SamplingSettings(max_new_tokens=TOKENS_A_TURN)
    player = Player({"echo": LocalEnvironment(Echo())}, Scripted({"fox": ["no"]}), chat, settings)
    fox = Question("echo", Prompt("a", (Message("user", "fox"),)))
    player.refuse_too_long([fox, replace(fox, prompt=replace(fox.prompt, id="b"))])
    (rollout,) = player.play([fox], torch.zeros(1, player.noise_per_rollout))
    context = render([{"role": "user", "content": "fox"}])
    assert list(rollout.ids[: len(context)]) == context
    assert len(rendered) == 1
    # In another mode the template may say something else.
    player.refuse_too_long([replace(fox, prompt=replace(fox.prompt, mode="on"))])
    assert len(rendered) == 2
