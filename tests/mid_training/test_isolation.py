"""A model that cannot keep documents apart is found out before it trains."""

import pytest

from tasks.mid_training.isolation import refuse_without_isolation
from tests.support import zoo
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model


def test_attention_keeps_documents_apart_and_alibi_does_not():
    refuse_without_isolation(tiny_model())
    with refused("not-isolated", "Bloom"):
        refuse_without_isolation(zoo.tiny("bloom"))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama3", "gemma3", "mistral", "olmo2", "deepseek-v3", "gpt2"])
def test_families_of_attention_keep_documents_apart(family):
    refuse_without_isolation(zoo.tiny(family))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3-next", "qwen3.5", "nemotron-h", "falcon-mamba"])
def test_families_with_a_state_do_not(family):
    with refused("not-isolated"):
        refuse_without_isolation(zoo.tiny(family))
