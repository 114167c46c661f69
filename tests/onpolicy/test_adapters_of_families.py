"""A LoRA student of any family is saved as the model that was trained, and loads."""

import pytest
import torch

from tasks.estimate.shape import shape_of
from tasks.model.files import Policy, load_model, save_policy
from tasks.model.log_probs import chosen_logits, pad_right
from tasks.model.settings import AdapterSettings
from tasks.onpolicy.student_files import save_student
from tests.onpolicy.test_loop import SCORED, Likelihood
from tests.onpolicy.test_student import learner_of
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tokenizer
from tests.support.zoo import tiny

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # PEFT's, of transformers
)
ADAPTER = AdapterSettings(rank=2, alpha=4)
BATCH = pad_right([[5, 6, 7, 8, 9]], [[False, False, True, True, True]], 0)


@pytest.mark.parametrize(
    "family",
    [
        "qwen3-moe",
        "gpt-oss",
        pytest.param("mixtral", marks=pytest.mark.slow),
        pytest.param("deepseek-v3", marks=pytest.mark.slow),
        pytest.param("qwen3-next", marks=pytest.mark.slow),
        pytest.param("nemotron-h", marks=pytest.mark.slow),
    ],
)
def test_the_saved_student_says_what_the_trained_one_says(family, tmp_path):
    start = save_policy(Policy(tiny(family), tokenizer()), tmp_path / "start")
    model = load_model(start)
    counted = ADAPTER.rank * shape_of(model.config, family).adapted
    learner = learner_of(model, adapter=ADAPTER)
    assert counted == sum(p.numel() for p in model.parameters() if p.requires_grad)
    for step in (1, 2):
        learner.update(Likelihood(), SCORED, step)
    folder = save_student(learner, tokenizer(), tmp_path / "student")
    with torch.no_grad():
        trained, first = chosen_logits(model, BATCH), chosen_logits(load_model(start), BATCH)
        saved = chosen_logits(load_model(folder), BATCH)
    torch.testing.assert_close(saved, trained, rtol=0, atol=1e-4)
    assert (saved - first).abs().max() > 1e-2
    own = {name for name, _ in load_model(start).named_parameters()}
    assert own == {name for name, _ in load_model(folder).named_parameters()}


def test_experts_stay_frozen(tmp_path):
    model = load_model(save_policy(Policy(tiny("qwen3-moe"), tokenizer()), tmp_path))
    learner_of(model, adapter=ADAPTER)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert not any("experts" in name for name in trained)


def test_a_checkpoint_that_does_not_load_is_refused(tmp_path, monkeypatch):
    model = tiny_model()
    learner = learner_of(model)
    whole = type(model).save_pretrained

    def losing(self, folder, **more):
        kept = {name: w for name, w in self.state_dict().items() if "mlp.up_proj" not in name}
        whole(self, folder, state_dict=kept, **more)

    monkeypatch.setattr(type(model), "save_pretrained", losing)
    with refused("missing-weights", "2 "):
        save_student(learner, tokenizer(), tmp_path)
