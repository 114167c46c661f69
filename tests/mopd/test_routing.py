"""Each rollout goes to its label's teachers by name; what could go wrong silently is refused."""

from dataclasses import replace

import pytest

from tasks.mopd.routing import Route, Routing
from tests.support.refused import refused
from tests.support.tiny_models import rollout

ROUTING = Routing([Route("math", "teacher-m"), Route("code", "teacher-c")])


def of(domain, mode="", prompt="p"):
    made = rollout([1, 2], [1], domain=domain, prompt=prompt)
    return replace(made, prompt=replace(made.prompt, mode=mode))


def teachers(routing, made):
    return [(route.teacher, route.share) for route in routing.routes(made)]


def test_each_rollout_goes_to_its_domains_teacher():
    assert teachers(ROUTING, of("code")) == [("teacher-c", 1.0)]
    assert teachers(ROUTING, of("math")) == [("teacher-m", 1.0)]


def test_a_domain_may_have_several_weighted_teachers():
    shared = Routing([Route("math", "old", 0.25), Route("math", "new", 0.75)])
    assert teachers(shared, of("math")) == [("old", 0.25), ("new", 0.75)]


def test_two_domains_may_share_a_teacher():
    shared = Routing([Route("math", "both"), Route("code", "both")])
    shared.check([("math", ""), ("code", "")], ["both"])
    assert teachers(shared, of("code")) == [("both", 1.0)]


def test_an_effort_may_have_its_own_teacher():
    routing = Routing([Route("math", "quick", mode="low"), Route("math", "slow", mode="high")])
    assert teachers(routing, of("math", "low")) == [("quick", 1.0)]
    assert teachers(routing, of("math", "high")) == [("slow", 1.0)]
    with refused("domain-without-teacher", "'math'", "'max'"):
        routing.routes(of("math", "max"))


def test_a_domain_without_modes_takes_prompts_of_every_mode():
    assert teachers(ROUTING, of("math", "high")) == [("teacher-m", 1.0)]


def test_an_unknown_label_is_refused_and_never_falls_back():
    with refused("domain-without-teacher", "'p7'", "'Math'", "'code', 'math'"):
        ROUTING.routes(of("Math", prompt="p7"))


@pytest.mark.parametrize("shares", [(0.5,), (0.5, 0.6), (1.0, 1.0)])
def test_shares_that_do_not_sum_to_one_are_refused(shares):
    with refused("route-shares"):
        Routing(Route("math", f"t{place}", share) for place, share in enumerate(shares))


def test_a_domain_routed_both_ways_is_refused():
    with refused("route-both-ways", "'high'"):
        Routing([Route("math", "a"), Route("math", "b", mode="high")])


LABELS = [("math", ""), ("code", "")]


def test_a_complete_routing_passes_in_any_order():
    ROUTING.check(LABELS, ["teacher-c", "teacher-m"])
    ROUTING.check(reversed(LABELS), ["teacher-m", "teacher-c"])


@pytest.mark.parametrize(
    ("labels", "loaded", "code", "name"),
    [
        ([*LABELS, ("law", "")], ["teacher-c", "teacher-m"], "domain-without-teacher", "'law'"),
        ([("math", "")], ["teacher-c", "teacher-m"], "teacher-without-domain", "'teacher-c'"),
        (LABELS, ["teacher-m"], "teacher-not-loaded", "'teacher-c'"),
        (LABELS, ["teacher-c", "teacher-m", "x"], "teacher-without-domain", "'x'"),
    ],
)
def test_what_could_go_wrong_silently_is_refused(labels, loaded, code, name):
    with refused(code, name):
        ROUTING.check(labels, loaded)
