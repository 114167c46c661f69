"""The step of DPO: what its record holds, and what it refuses."""

import pytest

from lineage.artifacts import Artifact
from lineage.graph.handed import Handed, inputs_handing
from lineage.store.store import FolderStore
from tasks.contracts.handover import StageLabel
from tasks.model.files import Policy, load_policy, save_policy
from tasks.platform.step_runner import StepRunner
from tasks.preference.settings import PreferenceSettings
from tasks.preference.steps import PreferenceData, learn_preferences
from tasks.rollout.responses import Strength, write_comparisons
from tests.support.mirrors import MemoryMirror
from tests.support.preferences import long_over_short, pair
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy, with_template

SETTINGS = PreferenceSettings(num_steps=2, batch_size=4, learning_rate=1e-2, warmup_steps=0)
STAGE = StageLabel(name="dpo", owner="team-helpful")


@pytest.fixture
def runner(tmp_path):
    return StepRunner(FolderStore(tmp_path / "store"), mirror=MemoryMirror())


@pytest.fixture
def put(runner, tmp_path):
    """Return what puts a policy, or comparisons, into the store."""

    def put(what, name="made"):
        if isinstance(what, Policy):
            digest = runner.store.put_tree(save_policy(what, tmp_path / name))
            return Artifact(kind="checkpoint", digest=digest)
        write_comparisons(tmp_path / "c.jsonl", what)
        digest = runner.store.put_file(tmp_path / "c.jsonl")
        return Artifact(kind="comparisons", digest=digest)

    return put


@pytest.mark.medium
def test_a_policy_is_recorded_with_its_reference_which_is_the_start_unless_given(runner, put):
    start, other = put(tiny_policy(0), "start"), put(tiny_policy(1), "other")
    compared = put([*long_over_short(), pair(strength=Strength.TIE)])
    made = learn_preferences(runner, start, PreferenceData([compared]), SETTINGS, 0, STAGE)
    record = runner.records.read(made.record)
    assert (made.kind, record.kind) == ("checkpoint", "preference")
    roles = [(item.role, item.artifact) for item in record.inputs]
    assert roles == [
        ("start", start.digest),
        ("reference", start.digest),
        ("comparisons", compared.digest),
    ]
    (weights,) = inputs_handing(record, Handed.WEIGHTS)
    assert weights.role == "start"
    assert runner.records.output(made.record).notes["tokens_trained"] > 2 * 4 * 2 * 8
    held_back = learn_preferences(
        runner, start, PreferenceData([compared], other), SETTINGS, 0, STAGE
    )
    assert held_back.digest != made.digest
    inputs = runner.records.read(held_back.record).inputs
    assert [item.artifact for item in inputs if item.role == "reference"] == [other.digest]
    load_policy(runner.store.tree(held_back.digest))


@pytest.mark.medium
def test_a_system_prompt_is_read_before_each_prompt_and_recorded(runner, put):
    start, data = put(tiny_policy(0)), PreferenceData([put(long_over_short())])
    told = STAGE.model_copy(update={"system_prompt": "fox owl"})
    plain, prompted = (
        learn_preferences(runner, start, data, SETTINGS, 0, stage) for stage in (STAGE, told)
    )
    assert plain.digest != prompted.digest
    inputs = runner.records.read(prompted.record).inputs
    (text,) = [item.artifact for item in inputs if item.role == "system_prompt"]
    assert runner.store.get_bytes(text) == b"fox owl"
    read = [
        runner.records.output(made.record).notes["tokens_trained"] for made in (plain, prompted)
    ]
    assert read[1] > read[0]


def test_a_reference_that_reads_other_tokens_is_refused(runner, put):
    other = Policy(tiny_model(1), with_template("{{ messages[0]['content'] }}<|im_end|>"))
    data = PreferenceData([put(long_over_short())], put(other, "other"))
    with refused("other-tokenizer"):
        learn_preferences(runner, put(tiny_policy(0), "start"), data, SETTINGS, 0, STAGE)


def test_other_kinds_are_refused_before_anything_is_loaded(runner, put):
    start, compared = put(tiny_policy(0)), put(long_over_short())
    reward_model = start.model_copy(update={"kind": "reward_model"})
    for begun, data in (
        (reward_model, PreferenceData([compared])),
        (start, PreferenceData([compared], reward_model)),
        (start, PreferenceData([compared.model_copy(update={"kind": "dataset"})])),
    ):
        with refused("other-kind"):
            learn_preferences(runner, begun, data, SETTINGS, 0, STAGE)
    assert runner.records.all() == []


@pytest.mark.parametrize(
    ("given", "code"),
    [(Strength.TIE, "only-ties"), (Strength.SLIGHTLY, "no-comparison")],
)
def test_data_without_a_comparison_to_train_on_is_refused(runner, put, given, code):
    settings = SETTINGS.model_copy(update={"least_strength": Strength.BETTER})
    data = PreferenceData([put([pair(strength=given)])])
    with refused(code):
        learn_preferences(runner, put(tiny_policy(0)), data, settings, 0, STAGE)
