"""A launch as a TOML file: ``provost run consolidation --config FILE``, and ``--save-config``."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w

from tasks.contracts.inputs import InputError
from tasks.mopd.launch_form import MORE, PRESET, LaunchForm, launch_spec
from workflows.commands.options import inputs_of_options
from workflows.consolidation.launch_plans import PRESETS

_HEADER = (
    "# A launch of a consolidation. Repeat it: provost run consolidation --config FILE\n"
    "# References such as math@released are resolved at each launch; math@3 fixes a version.\n"
)
_NAMES = {PRESET, *LaunchForm.model_fields, *MORE}


def read_launch(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the preset that a launch file names, or "", and the inputs that it gives.

    Raises:
        InputError: the file cannot be read, or a name in it is unknown.
    """
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    for name in given:
        if name not in _NAMES:
            near = get_close_matches(name, _NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "docs/guides/launch-form.md lists all"
            raise InputError(f"{path} gives the unknown input {name!r}: {hint}")
    preset = given.pop(PRESET, "")
    if preset and preset not in PRESETS:
        raise InputError(f"{path} names the unknown preset {preset!r}: one of {sorted(PRESETS)}")
    return str(preset), given


def write_launch(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write a launch with the value of each input, so that later defaults do not change it."""
    values = _form(inputs).model_dump(mode="json")
    path.write_text(_HEADER + tomli_w.dumps(values), "utf-8")


def inputs_of_launch(
    preset: str, config: Path | None, given: Mapping[str, object]
) -> dict[str, Any]:
    """Return the inputs of a launch: options over the file, the file over the preset.

    Raises:
        InputError: for an input or a setting that is invalid.
    """
    from_file: dict[str, Any] = {}
    if config:
        named, from_file = read_launch(config)
        preset = preset or named
    inputs = inputs_of_options(from_file, MORE, PRESETS.get(preset, {}))
    inputs = inputs_of_options(given, MORE, inputs)
    form = _form(inputs)
    return {name: getattr(form, name) for name in inputs}


def _form(inputs: Mapping[str, Any]) -> LaunchForm:
    launch_spec(inputs)  # whatever is invalid is refused under its name
    return LaunchForm.model_validate(dict(inputs))
