"""The weights that a vLLM server is sent: it may keep the output head as a tensor of its own."""

import pytest
import torch

from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.vllm_stand_in import NAME, StandIn, serving

CONTEXTS = [[5, 6, 7, 8, 9], [10, 11]]


@pytest.fixture
def stand_in():
    """A server with a head of its own, as vLLM on a CPU has a packed one."""
    made = StandIn()
    head = made.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    return made


@pytest.mark.parametrize("adapted", [False, True])
def test_a_head_that_is_the_embeddings_tensor_arrives_under_its_own_name(
    stand_in, tmp_path, adapted
):
    model = tiny_model()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if adapted:
        from tasks.model.lora import add_adapter
        from tasks.model.settings import AdapterSettings

        add_adapter(model, AdapterSettings(rank=2, alpha=4.0))
    with torch.no_grad():
        model.get_input_embeddings().weight += 0.5
    with serving(stand_in) as url:
        server = VllmServer(url=url, served_model=NAME, weights_folder=str(tmp_path / "weights"))
        settings = SamplingSettings(max_new_tokens=4, engine=SamplingEngine.VLLM, vllm=server)
        sampler = VllmSampler(model, tokenizer().eos_token_id, settings)
        sampler.sample(CONTEXTS, torch.rand(2, 4))  # it refuses log-probabilities of another head
    head = stand_in.model.get_output_embeddings().weight
    torch.testing.assert_close(head, model.get_input_embeddings().weight)
