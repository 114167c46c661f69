"""Every flavor fits into each cluster it is meant for: Flyte's limits, and the teams' quotas."""

import pytest
from kubernetes.utils.quantity import parse_quantity

from tasks.platform.resources import Stage, flavor_names, load_flavor
from tests.support.manifests import INFRA, custom_data, load

TAKES = {"flyte/values.yaml": flavor_names(), "laptop/flyte-values.yaml": ["cpu"]}
"""The flavors that each cluster of infra/ is for."""
KEYS = {"cpu", "memory", "gpu", "ephemeralStorage"}
"""What Flyte knows under task_resources.limits; it ignores every other key without a word."""
QUOTAS = {"cpus": "cpu", "memory": "memory", "gpus": "gpu", "disk": "ephemeralStorage"}


def limits(values):
    return load(INFRA / values)["configuration"]["inline"]["task_resources"]["limits"]


def asked(wanted):
    """Return what one pod of a stage asks for, by the names of Flyte's limits."""
    sizes = {
        "cpu": wanted.cpu,
        "memory": wanted.memory,
        "gpu": wanted.gpus,
        "ephemeralStorage": wanted.disk,
    }
    return {name: parse_quantity(size) for name, size in sizes.items()}


@pytest.mark.parametrize("values", TAKES)
def test_the_limits_have_names_that_flyte_knows(values):
    assert set(limits(values)) == KEYS


@pytest.mark.parametrize("values", TAKES)
def test_a_pod_of_every_stage_is_within_flyte_s_limits(values):
    most = {name: parse_quantity(size) for name, size in limits(values).items()}
    for flavor in TAKES[values]:
        for stage, wanted in load_flavor(flavor).stages.items():
            over = {name for name, size in asked(wanted).items() if size > most[name]}
            assert not over, (flavor, stage)


@pytest.mark.parametrize("values", TAKES)
@pytest.mark.parametrize("domain", ["development", "staging", "production"])
def test_all_pods_of_every_stage_are_within_the_quota_of_each_domain(values, domain):
    quota = custom_data(load(INFRA / values))[domain]
    for flavor in TAKES[values]:
        for stage, wanted in load_flavor(flavor).stages.items():
            size = asked(wanted)
            for name, key in QUOTAS.items():
                assert wanted.nodes * size[key] <= parse_quantity(quota[name]), (flavor, stage)


def test_a_round_on_h100_is_the_largest_that_a_quota_has_to_hold():
    wanted = load_flavor("h100").stages[Stage.MOPD_ROUND]
    assert {name: wanted.nodes * size for name, size in asked(wanted).items()} == {
        "cpu": 192,
        "memory": 2400 * 2**30,
        "gpu": 16,
        "ephemeralStorage": 4 * 2**40,
    }
