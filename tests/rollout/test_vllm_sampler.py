"""The vLLM engine against a stand-in server; tests/engines has vLLM itself."""

import socket

import pytest
import torch

from tasks.model.chat import ChatTokens
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.rollout.sampling.engine import make_sampler
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.vllm.client import VllmError
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.refused import raised, refused
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer
from tests.support.vllm_stand_in import NAME, StandIn, serving

END = tokenizer().eos_token_id
CONTEXTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15], [16, 17, 18, 19], [20, 21]]
TOKENS = 8


@pytest.fixture
def stand_in():
    """Return a server that does all well."""
    return StandIn()


@pytest.fixture
def address(stand_in):
    """Return where it listens."""
    with serving(stand_in) as url:
        yield url


@pytest.fixture
def settings(address, tmp_path):
    """Return a function that makes settings of the engine; server fields by name."""

    def make(temperature=1.0, **server):
        fields = {
            "url": address,
            "served_model": NAME,
            "weights_folder": str(tmp_path / "weights"),
            "timeout_seconds": 5.0,
            **server,
        }
        return SamplingSettings(
            temperature=temperature,
            max_new_tokens=TOKENS,
            engine=SamplingEngine.VLLM,
            vllm=VllmServer(**fields),
        )

    return make


def noise_for(count=6, seed=0):
    """Return uniform noise for so many rows."""
    return torch.rand(count, TOKENS, generator=torch.Generator().manual_seed(seed))


def first_log_prob(choice, nats):
    choice["logprobs"]["token_logprobs"][0] = nats


def spoiled(change):
    """Return a function that changes the answer's one choice."""
    return lambda answer: change(answer["choices"][0])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@torch.no_grad()
def test_turns_come_with_the_policys_own_log_probabilities(settings, temperature):
    model = tiny_model()
    turns = VllmSampler(model, END, settings(temperature)).sample(CONTEXTS, noise_for())
    whole = [[*ids, *turn.ids] for ids, turn in zip(CONTEXTS, turns, strict=True)]
    flags = [
        [False] * len(ids) + [True] * len(turn.ids)
        for ids, turn in zip(CONTEXTS, turns, strict=True)
    ]
    batch = pad_right(whole, flags, END)
    own = token_log_probs(chosen_logits(model, batch, temperature), batch.tokens_N)
    served = torch.tensor([nats for turn in turns for nats in turn.log_probs])
    torch.testing.assert_close(served, own, atol=1e-4, rtol=1e-4)
    assert all(turn.ended == (turn.ids[-1] == END) for turn in turns)


def test_the_request_asks_for_the_plain_distribution_by_token_ids(settings, stand_in):
    VllmSampler(tiny_model(), END, settings(0.7)).sample(CONTEXTS[:1], noise_for(1))
    (body,) = stand_in.bodies("/v1/completions")
    assert body.pop("seed") >= 0
    assert body == {
        "model": NAME,
        "prompt": CONTEXTS[0],
        "max_tokens": TOKENS,
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "ignore_eos": True,
        "stop_token_ids": [END],
        "logprobs": 0,
        "return_token_ids": True,
        "add_special_tokens": False,
    }


def test_the_same_noise_asks_for_the_same_text_in_any_order_and_company(settings):
    sampler, noise = VllmSampler(tiny_model(), END, settings()), noise_for()
    together = sampler.sample(CONTEXTS, noise)
    assert sampler.sample(CONTEXTS[::-1], noise.flip(0))[::-1] == together
    assert sampler.sample(CONTEXTS[2:3], noise[2:3]) == together[2:3]
    assert sampler.sample(CONTEXTS, noise_for(seed=1)) != together


def test_repeats_of_a_prompt_have_seeds_of_their_own(settings, stand_in):
    turns = VllmSampler(tiny_model(), END, settings()).sample([CONTEXTS[0]] * 6, noise_for())
    assert len({body["seed"] for body in stand_in.bodies("/v1/completions")}) == 6
    assert len({turn.ids for turn in turns}) == 6


def test_weights_are_sent_when_they_have_changed_and_only_then(settings, stand_in, tmp_path):
    model = tiny_model()
    sampler = VllmSampler(model, END, settings())
    first = sampler.sample(CONTEXTS, noise_for())
    assert sampler.sample(CONTEXTS, noise_for()) == first
    assert len(stand_in.bodies("/collective_rpc")) == 1
    before = stand_in.version
    with torch.no_grad():
        model.get_output_embeddings().weight[7] += 1.0
    assert sampler.sample(CONTEXTS, noise_for()) != first
    assert len(stand_in.bodies("/collective_rpc")) == 2
    assert stand_in.version != before
    assert len(stand_in.bodies("/reset_prefix_cache")) == 2
    left = list((tmp_path / "weights").iterdir())
    assert [str(folder) for folder in left] == [
        stand_in.bodies("/collective_rpc")[1]["kwargs"]["weights_path"]
    ]
    torch.testing.assert_close(stand_in.model.state_dict(), model.state_dict())


def test_the_smallest_change_of_one_weight_is_sent(settings, stand_in):
    model = tiny_model()
    sampler = VllmSampler(model, END, settings())
    sampler.sample(CONTEXTS, noise_for())
    weight = model.base_model.norm.weight
    weight.data[3] = torch.nextafter(weight.data[3], torch.tensor(9.0))
    sampler.sample(CONTEXTS, noise_for())
    assert len(stand_in.bodies("/collective_rpc")) == 2
    assert stand_in.model.base_model.norm.weight[3] == weight[3]


def test_a_lora_students_weights_are_sent_merged(settings, stand_in):
    pytest.importorskip("peft")
    from tasks.model.lora import add_adapter, merged_weights
    from tasks.model.settings import AdapterSettings

    model = tiny_model()
    add_adapter(model, AdapterSettings(rank=2, alpha=4.0))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    VllmSampler(model, END, settings()).sample(CONTEXTS, noise_for())
    torch.testing.assert_close(dict(stand_in.model.state_dict()), merged_weights(model))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"loads": False}, "other-log-probabilities"),
        ({"forgets": False}, "shared-server"),
        ({"status": 500}, "refused"),
        ({"status": 400}, "refused"),
    ],
)
def test_a_server_that_does_not_take_the_weights_is_refused(settings, stand_in, fault, code):
    sampler = VllmSampler(tiny_model(), END, settings())
    for name, value in fault.items():
        setattr(stand_in, name, value)
    for _ in range(2):  # and not only the first time
        with raised(VllmError, code, *(str(v) for k, v in fault.items() if k == "status")):
            sampler.sample(CONTEXTS, noise_for())


def test_log_probabilities_from_before_the_temperature_are_refused(settings, stand_in):
    stand_in.before_temperature = True
    VllmSampler(tiny_model(), END, settings()).sample(CONTEXTS, noise_for())
    with raised(VllmError, "other-log-probabilities", "--logprobs-mode processed_logprobs"):
        VllmSampler(tiny_model(), END, settings(0.5)).sample(CONTEXTS, noise_for())


@pytest.mark.parametrize("within_a_batch", [False, True])
def test_a_restarted_server_is_refused(settings, stand_in, within_a_batch):
    sampler = VllmSampler(tiny_model(), END, settings())
    sampler.sample(CONTEXTS, noise_for())
    stand_in.version = stand_in.version if within_a_batch else None
    stand_in.spoil = lambda _: setattr(stand_in, "version", None)  # as after any restart
    with raised(VllmError, "other-weights", "None"):
        sampler.sample(CONTEXTS, noise_for())


def test_a_server_that_is_not_ready_yet_is_waited_for(settings, stand_in):
    stand_in.refuse_first = 3
    turns = VllmSampler(tiny_model(), END, settings()).sample(CONTEXTS, noise_for())
    assert len(turns) == 6
    stand_in.refuse_first = 10**6
    with raised(VllmError, "not-ready", "0.2 s", "503"):
        VllmSampler(tiny_model(), END, settings(timeout_seconds=0.2))


def test_a_server_that_is_too_slow_is_refused(settings, stand_in):
    stand_in.delay = 1.0
    sampler = VllmSampler(tiny_model(), END, settings(timeout_seconds=0.3))
    with raised(VllmError, "no-answer", "/v1/completions", "timeout_seconds"):
        sampler.sample(CONTEXTS[:1], noise_for(1))


def test_a_port_without_a_server_is_refused(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with raised(VllmError, "not-ready", "0.2 s", url):
            VllmSampler(tiny_model(), END, settings(url=url, timeout_seconds=0.2))


def test_another_served_model_is_refused(settings):
    with raised(VllmError, "other-served-model", "'policy'", "'math'"):
        VllmSampler(tiny_model(), END, settings(served_model="math"))


def test_a_server_without_its_control_routes_is_refused(settings, stand_in, monkeypatch):
    sampler = VllmSampler(tiny_model(), END, settings())
    every = stand_in.answer
    monkeypatch.setattr(
        stand_in, "answer", lambda path, body: (404, {}) if "rpc" in path else every(path, body)
    )
    with raised(VllmError, "weights-not-loaded", "/collective_rpc", "VLLM_SERVER_DEV_MODE=1"):
        sampler.sample(CONTEXTS, noise_for())
    assert str(stand_in.version).startswith("loading ")  # and no version that a run could trust


@pytest.mark.parametrize("answer", [b"<html>", [1, 2], b'"text"'])
def test_an_answer_other_than_a_json_object_is_refused(settings, stand_in, monkeypatch, answer):
    monkeypatch.setattr(stand_in, "answer", lambda path, body: (200, answer))
    with raised(VllmError, "not-json"):
        VllmSampler(tiny_model(), END, settings())


@pytest.mark.parametrize(
    ("spoil", "code", "name"),
    [
        (spoiled(lambda c: c.pop("token_ids")), "missing-field", "choices.0.token_ids"),
        (spoiled(lambda c: c.update(token_ids=None)), "missing-field", "choices.0.token_ids"),
        (spoiled(lambda c: c.update(logprobs=None)), "missing-field", "choices.0.logprobs"),
        (spoiled(lambda c: first_log_prob(c, None)), "missing-field", "token_logprobs.0"),
        (spoiled(lambda c: c["token_ids"].insert(0, 5)), "other-counts", ""),
        (spoiled(lambda c: c["logprobs"]["token_logprobs"].pop()), "other-counts", ""),
        (lambda a: a["usage"].update(completion_tokens=99), "other-counts", "99"),
        (spoiled(lambda c: c["prompt_token_ids"].insert(0, 1)), "other-context", ""),
        (lambda a: a["choices"].append(a["choices"][0]), "several-turns", "2"),
        (lambda a: a.update(model="other"), "other-model", "'other'"),
        (spoiled(lambda c: c.update(finish_reason="abort")), "other-end", "'abort'"),
        (
            spoiled(lambda c: (c["token_ids"].__setitem__(-1, 9), c.update(finish_reason="stop"))),
            "other-end",
            "--generation-config vllm",
        ),
        *(
            (spoiled(lambda c, nats=nats: first_log_prob(c, nats)), "not-a-log-probability", "")
            for nats in (float("nan"), 0.1)
        ),
    ],
)
def test_an_answer_of_another_shape_is_refused(settings, stand_in, spoil, code, name):
    stand_in.spoil = spoil
    with raised(VllmError, code, name):
        VllmSampler(tiny_model(), END, settings()).sample(CONTEXTS, noise_for())


def test_a_context_that_the_server_has_no_room_for_is_refused_before_any_request(
    settings, stand_in
):
    stand_in.longest = 12
    sampler = VllmSampler(tiny_model(), END, settings())
    with refused("context-too-long", "5 tokens", "8 new ones", "the 12"):
        sampler.sample(CONTEXTS, noise_for())
    assert [path for path, _ in stand_in.asked] == ["/v1/models", "/version"]


def test_the_settings_choose_the_engine(settings):
    policy = tiny_policy()
    chat = ChatTokens(policy.tokenizer)
    assert isinstance(make_sampler(policy, chat, settings()), VllmSampler)
    assert isinstance(make_sampler(policy, chat, SamplingSettings()), TransformersSampler)
