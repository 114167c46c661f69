"""The atlas: one row a run, each order of the table, and graphs read from the records."""

import re

import pytest

from lineage.artifacts import Artifact
from lineage.graph.handed import Handed, ModelEdge, model_edges
from lineage.records.record import Records
from tasks.contracts.named import NamedArtifact
from tasks.contracts.scale import Scale
from tasks.evaluate.atlas import (
    ORDERS,
    RecipeText,
    atlas_page,
    atlas_rows,
    inline_graph,
    newest_cards,
)
from tasks.evaluate.recipe_card import CARD, DomainScore, ModeScore, RecipeCard, StageCost
from tasks.evaluate.recipe_rewards import RewardScore
from tasks.evaluate.settings import RecipeLabel
from tasks.platform.step_runner import StepRunner
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror

TEXTS = {"second": RecipeText("Second (2402.00000): two stages", "Order matters.")}


OFF = ModeScore(obedient=0.85, mean=0.5, tokens=4.0, answers=4)


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def checkpoint(made):
    record, output = made
    return Artifact(kind="checkpoint", digest=output, record=record)


def score(mean, **modes):
    return DomainScore(
        mean=mean, low=mean, high=mean, prompts=4, tokens=9.0, truncated=0.0, modes=modes
    )


@pytest.fixture
def write_card(runner, made):
    """Return a function that records the card of a recipe, and returns its record."""

    def write(system, stage, mean, minutes, day=1):
        artifact = checkpoint(made[stage])
        card = RecipeCard(
            label=RecipeLabel(system=system, scale=Scale.TINY, seed=0),
            stages=[NamedArtifact(name=stage, artifact=artifact)],
            base=checkpoint(made["base"]),
            scores={"base": {"add": score(0.1)}, stage: {"add": score(mean, off=OFF)}},
            rewards={stage: {"safe": {"rm": RewardScore(reward=1.75, gold=0.25, answers=4)}}},
            text={stage: 1.625},
            drift={stage: {"add": 0.25}},
            forgetting={"add": 0.0},
            cost={"sft": StageCost(steps=1, tokens_trained=7, processor_seconds=60 * minutes)},
        )
        data, finished = card.model_dump_json().encode(), f"2026-01-0{day}T00:00:00+00:00"
        return write_record(
            runner.store, data, kind=CARD, output_kind=CARD, finished=finished
        )[0]  # fmt: skip

    return write


@pytest.fixture
def made(runner):
    """Two recipes: one stage of SFT; and a model trained on another's scored responses."""
    store = runner.store
    base = write_record(store, b"base", kind="base")
    sft = write_record(store, b"sft", take("start", base), kind="sft")
    judge = write_record(
        store, b"rm", take("start", sft), kind="reward_model", output_kind="reward_model"
    )
    responses = write_record(
        store, b"responses", take("sampler", sft), kind="sampling", output_kind="responses"
    )
    scored = write_record(
        store,
        b"scored",
        take("responses", responses),
        take("reward_model", judge),
        kind="scoring",
        output_kind="responses",
    )
    final = write_record(
        store, b"final", take("start", base), take("data", scored), kind="sft", name="final"
    )
    return {"base": base, "sft": sft, "judge": judge, "final": final}


def test_edges_between_models_pass_through_data_sets(runner, made):
    record = {name: each[0] for name, each in made.items()}
    found = model_edges(Records(runner.store), record["final"], record["base"])
    assert set(found) == {
        ModelEdge(record["base"], record["sft"], Handed.WEIGHTS),
        ModelEdge(record["sft"], record["judge"], Handed.WEIGHTS),
        ModelEdge(record["base"], record["final"], Handed.WEIGHTS),
        ModelEdge(record["sft"], record["final"], Handed.DATA),
        ModelEdge(record["judge"], record["final"], Handed.SCORES),
    }


def test_the_newest_card_of_a_recipe_counts(runner, write_card):
    write_card("first", "sft", 0.4, minutes=1, day=1)
    newer = write_card("first", "sft", 0.5, minutes=1, day=2)
    assert list(newest_cards(runner)) == [newer]


def test_the_page_holds_every_order_of_the_rows_and_no_script(runner, write_card):
    write_card("first", "sft", 0.4, minutes=1)
    write_card("second", "final", 0.9, minutes=5)
    rows = atlas_rows(runner, newest_cards(runner), TEXTS)
    page = atlas_page(rows, Scale.TINY)
    bodies = dict(re.findall(r'<tbody class="by-(\w+)">(.*?)</tbody>', page, re.DOTALL))
    assert bodies.keys() == ORDERS.keys()
    order = {name: re.findall(r'href="#(\w+)-0"', body) for name, body in bodies.items()}
    assert order["score"] == ["second", "first"]
    assert order["minutes"] == ["first", "second"]
    assert order["name"] == ["second", "first"]  # "Second" sorts before the untitled "first"
    assert "<script" not in page
    assert page.count("<svg xmlns") == 2
    for what in ("weights", "data", "scores"):
        assert f">{what}<" in page


def test_the_page_shows_obedience_reward_models_and_text(runner, write_card):
    write_card("second", "final", 0.9, minutes=5)
    (row,) = atlas_rows(runner, newest_cards(runner), TEXTS)
    assert row.modes == {("add", "off"): {"final": OFF}}
    assert row.rewards.keys() == {("rm", "safe")}
    page = atlas_page([row], Scale.TINY)
    cells = re.findall(r"<td>([^<]*)</td>", page)
    for found in ("0.85 · 0.50 · 4", "+1.75 · 0.25"):
        assert found in cells
    for head in ("add, off", "rm, safe"):
        assert f">{head}</th>" in page
    assert "final 1.625" in page


def test_the_graph_holds_every_stage_whether_it_led_to_the_last_one_or_not(runner, made):
    stages = [
        NamedArtifact(name=name, artifact=checkpoint(made[name])) for name in ("final", "sft")
    ]
    card = RecipeCard(
        label=RecipeLabel(system="first", scale=Scale.TINY, seed=0), stages=stages,
        base=checkpoint(made["base"]), scores={}, drift={}, forgetting={}, cost={},
    )  # fmt: skip
    drawn = inline_graph(runner, card)
    assert [name for name in ("base", "final", "sft") if f">{name}</text>" not in drawn] == []


def test_numbers_of_a_row(runner, write_card):
    write_card("second", "final", 0.9, minutes=5)
    (row,) = atlas_rows(runner, newest_cards(runner), TEXTS)
    assert (row.text.name, row.mean, row.forgotten, row.drift) == ("Second", 0.9, 0.0, 0.25)
    assert row.gain == pytest.approx(0.8)
    assert (row.sampled, row.trained, row.minutes) == (0, 7, 5.0)
