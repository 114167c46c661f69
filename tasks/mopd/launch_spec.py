"""The validated launch form, as specifications for the tasks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lineage.launches.launch import Launched
from tasks.contracts.handover import GateOrder
from tasks.contracts.inputs import told_by_name
from tasks.mopd.launch_form import MORE, LaunchForm
from tasks.mopd.round_form import INPUTS, ConsolidationSpec
from tasks.onpolicy.workload import Workload


class LaunchSpec(NamedTuple):
    """The validated launch form, split by task."""

    spec: ConsolidationSpec
    gate: GateOrder
    workload: Workload
    ladder_stages: int
    launched: str
    """``Launched`` as JSON, because Flyte has no type for the settings of a round."""
    recipe: str
    """Settings that make outcomes comparable; see ``RoundForm.recipe``."""


def launch_spec(inputs: Mapping[str, Any]) -> LaunchSpec:
    """Return the validated inputs of a launch, split by task.

    Raises:
        InputError: for an input or a setting that is invalid.
    """
    names = {name: name for name in (*LaunchForm.model_fields, *MORE)}
    with told_by_name({**INPUTS, **names}, rest="settings"):
        form = LaunchForm.model_validate(dict(inputs))
        round_form, gate = form.round(), form.gate()
        spec = ConsolidationSpec(
            settings=round_form.settings(),
            sampling=round_form.sampling(),
            rounds=round_form.rounds,
            seed=round_form.seed,
            publish_as=form.publish_as,
            warm_up=form.warm_up(),
            conditions=form.conditions(),
        )
        launched = Launched(
            inputs=form.model_dump(mode="json"),
            preset=form.preset,
            round=spec.settings.model_dump(mode="json"),
            rounds=spec.rounds,
            seed=spec.seed,
        )
        return LaunchSpec(
            spec,
            gate,
            round_form.workload(),
            round_form.ladder_stages,
            launched.model_dump_json(),
            round_form.recipe(),
        )
