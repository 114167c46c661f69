"""The documentation of a team's settings is that of the models, and leaves none out."""

from workflows.commands.pages import MODELS, SETTINGS_PAGE, settings_page


def test_the_page_is_what_the_models_say():
    assert SETTINGS_PAGE.read_text("utf-8") == settings_page()


def test_every_setting_of_a_team_is_described():
    settings_page()
    missing = [
        f"{place}.{name}"
        for place, model in MODELS.items()
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert missing == []
