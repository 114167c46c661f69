"""The documentation of the launch form, and the options of the command line, are the form's own."""

from tasks.mopd.launch_form import MORE, LaunchForm
from tasks.mopd.settings import Balance
from workflows.commands.options import inputs_of_options, options_of_form
from workflows.commands.pages import FORM_PAGE, form_page


def test_the_page_is_what_the_form_says():
    assert FORM_PAGE.read_text("utf-8") == form_page()


def test_every_input_and_every_short_name_is_an_option():
    names = {option.name for option in options_of_form(LaunchForm, MORE)}
    assert names == {*LaunchForm.model_fields, *MORE}


def test_options_of_settings_join_the_preset_s_and_count_more():
    given = {
        "mopd_steps": 5,
        "settings": ["health.runaway=stop"],
        "balance": Balance.FIXED,
        "balance_weights": ["math=2", "code=1"],
        "delta_teachers": ["math", "code"],
        "ledger_displacements": False,
        "prompts_per_domain": None,
    }
    preset = {"mopd_steps": 2, "publish_as": "smoke", "settings": ["prompts_per_domain=2"]}
    assert inputs_of_options(given, MORE, preset) == {
        "mopd_steps": 5,
        "publish_as": "smoke",
        "settings": [
            "prompts_per_domain=2",
            "health.runaway=stop",
            "balance=fixed",
            "balance_weights.math=2",
            "balance_weights.code=1",
            "delta_teachers=math,code",
            "ledger_displacements=false",
        ],
    }
