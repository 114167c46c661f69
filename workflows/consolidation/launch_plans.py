"""Presets: each workflow of the consolidation as named launch plans, to choose from in the console.

A preset only sets defaults; every input can still be changed in the form.
"""

from typing import Any

from flytekit import LaunchPlan

from tasks.mopd.launch_form import PRESET
from tasks.mopd.settings import Divergence
from workflows.consolidation.workflow import consolidate, consolidate_reviewed

_CHANGED: dict[str, dict[str, Any]] = {
    # Does all of it run? Two steps of two prompts; a useless student, so without measurements
    # whether its teachers fit.
    "smoke": {
        "mopd_steps": 2,
        "publish_as": "smoke",
        "settings": ["gate_prompts_per_domain=0", "prompts_per_domain=2"],
    },
    # The k = 64 likeliest words of the teacher, as in MOPD (2606.30406).
    "standard": {"divergence": Divergence.TOP_K},
    "full_vocabulary": {"divergence": Divergence.FULL_VOCABULARY},
    "two_rounds": {"rounds": 2},
}

PRESETS: dict[str, dict[str, Any]] = {
    name: {**inputs, "settings": [f"{PRESET}={name}", *inputs.get("settings", [])]}
    for name, inputs in _CHANGED.items()
}
"""Each names itself among its settings, so that the record of a launch names it."""
FLOWS = {"consolidate": consolidate, "consolidate_reviewed": consolidate_reviewed}
LAUNCH_PLANS = {
    f"{name}_{preset}": LaunchPlan.get_or_create(
        name=f"{name}_{preset}", workflow=flow, default_inputs=inputs
    )
    for name, flow in FLOWS.items()
    for preset, inputs in PRESETS.items()
}
