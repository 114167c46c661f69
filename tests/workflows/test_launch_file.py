"""A launch written to a file is the same launch when it is read."""

import tomllib

import pytest
from click.testing import CliRunner

from tasks.contracts.inputs import InputError
from tasks.contracts.remedies import WarmUpSettings
from tasks.mopd.launch_form import LaunchForm, launch_spec
from tasks.mopd.settings import Divergence
from workflows.cli import main
from workflows.commands.run import inputs_of_launch, read_launch, write_launch


@pytest.fixture
def file(tmp_path):
    return tmp_path / "launch.toml"


def test_a_launch_is_the_same_after_it_was_written_and_read(file):
    given = {
        "divergence": Divergence.TOP_K,
        "max_new_tokens": 8,
        "teachers": ["math@3=0.7", "code@released"],
        "settings": ["health.runaway=stop"],
    }
    inputs = inputs_of_launch("smoke", None, given)
    write_launch(file, inputs)
    again = inputs_of_launch("", file, {})
    assert LaunchForm(**again) == LaunchForm(**inputs)
    assert LaunchForm(**again).preset == "smoke"
    assert LaunchForm(**again).round().max_new_tokens == 8


def test_the_file_keeps_defaults_so_that_later_ones_do_not_change_it(file):
    write_launch(file, {})
    assert tomllib.loads(file.read_text()).keys() == LaunchForm.model_fields.keys()


def test_options_override_the_file_and_the_file_its_preset(file):
    file.write_text(
        'preset = "smoke"\nmopd_steps = 7\nprompts_per_domain = 5\npublish_as = "mine"\n'
    )
    inputs = inputs_of_launch("", file, {"publish_as": "yours"})
    form = LaunchForm(**inputs)
    assert (form.mopd_steps, form.publish_as, form.preset) == (7, "yours", "smoke")
    assert form.round().prompts_per_domain == 5
    assert form.gate().gate_prompts_per_domain == 0


def test_the_warm_up_is_set_by_its_own_names_and_reaches_its_stage():
    given = {"warm_up_steps": 400, "warm_up_prompts": 50, "warm_up_learning_rate": 2e-5}
    warm_up = launch_spec(inputs_of_launch("", None, given | {"warm_up_cycles": 3})).spec.warm_up
    assert (warm_up.steps_per_teacher, warm_up.prompts_per_teacher) == (400, 50)
    assert warm_up.most_cycles == 3
    assert warm_up.learning_rate == 2e-5
    assert launch_spec({}).spec.warm_up == WarmUpSettings()


@pytest.mark.parametrize(
    "text",
    [
        'teachrs = ["math@1"]',
        "mopd_steps = ",
        'mopd_steps = "many"',
        'preset = "huge"',
        'settings = ["nothing=1"]',
        "\x00",
    ],
)
def test_a_file_that_cannot_be_a_launch_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError):
        inputs_of_launch("", file, {})


def test_a_misspelled_input_is_answered_with_the_nearest(file):
    file.write_text("mopd_step = 3")
    with pytest.raises(InputError, match="'mopd_steps'"):
        read_launch(file)


def test_a_file_that_is_not_there_ends_with_status_1(file, home):
    result = CliRunner().invoke(main, ["run", "consolidation", "--config", str(file)])
    assert result.exit_code == 1
    assert str(file) in result.output
    assert "Traceback" not in result.output
