"""README's pictures and waits say what their result files say, and what these lack."""

import pytest

from benchmarks.common.checkout import ROOT
from benchmarks.common.layout_estimates import ADAPTER, host_gib, layout, rank_gib
from benchmarks.common.markdown import result
from benchmarks.platform import demo_tables, scorecard_pictures
from benchmarks.platform.demo_tables import NOT_RUN, OFF_POLICY, score
from benchmarks.platform.waits import package_sources
from tests.support.scorecard_example import example_scorecard


def demo(card):
    return {"seeds": {"0": {"commit": "0123456789", "scorecard": card.document()}}}


def test_a_picture_without_off_policy_sft_says_where_it_is_ahead(monkeypatch):
    monkeypatch.setattr(scorecard_pictures, "result", result)
    words = scorecard_pictures.demo_picture()
    assert OFF_POLICY not in result("demo")["seeds"]["0"]["scorecard"]["overall"]
    assert "**Off-policy SFT is not in this picture**" in words
    assert "results/real" in words
    assert "results/map.json" in words


def test_a_picture_with_off_policy_sft_gives_its_lead(monkeypatch):
    card = example_scorecard()
    monkeypatch.setattr(
        scorecard_pictures, "result", lambda name: demo(card) if name == "demo" else result(name)
    )
    words = scorecard_pictures.demo_picture()
    lead = card.paired["overall"][OFF_POLICY]
    assert "is not in this picture" not in words
    assert f"MOPD less off-policy SFT, seed 0: {lead.mean:+.3f} (" in words


def test_off_policy_sft_is_not_counted_where_its_interval_holds_zero(monkeypatch):
    def card(high):
        return {"paired": {"overall": {OFF_POLICY: {"high": high}}}}

    points = [{"methods": {OFF_POLICY: {"mopd_lead": {"high": high}}}} for high in (-0.1, 0.1)]
    found = {"figures": {"points": dict(enumerate([*points, {"methods": {}}]))}}
    monkeypatch.setattr(scorecard_pictures, "scored", lambda: {0: card(-0.1), 1: card(0.0)})
    monkeypatch.setattr(scorecard_pictures, "result", lambda _: found)
    words = scorecard_pictures.elsewhere()
    assert "in 1 of 2 seeds" in words
    assert "at 1 of 2 points" in words


def test_a_control_that_was_not_run_is_called_so():
    scores = {"student": {"mean": 0.5, "low": 0.25, "high": 0.75}}
    assert score(scores, "student", 2) == "0.50 [0.25, 0.75]"
    assert score(scores, OFF_POLICY, 2) == NOT_RUN


def test_the_peak_is_that_of_the_largest_seed(monkeypatch):
    cases = {"0": {"peak_memory_bytes": 2**30}, "1": {"peak_memory_bytes": 3 * 2**29}}
    monkeypatch.setattr(demo_tables, "result", lambda _: {"seeds": cases})
    assert demo_tables.peak_memory() == "1.50 GiB"


def test_readme_names_the_reason_why_a_large_round_is_refused():
    fit = layout("qwen3-32b", 12, 64)
    [missing] = fit.missing
    assert "on each of 64 ranks" in missing
    assert fit.host.total < fit.limits.host
    assert host_gib("qwen3-32b", 12, 64).endswith(" of 1,200 GiB")
    assert float(rank_gib("qwen3-32b", 12, 64, ADAPTER)) < 75 < float(rank_gib("qwen3-32b", 12, 64))


def test_the_first_picture_of_readme_is_the_real_models():
    page = (ROOT / "README.md").read_text("utf-8")
    assert page.index("docs/pictures/real.png") < page.index("docs/pictures/scorecard.png")


def test_the_demo_over_seeds_draws_the_shown_seed_of_its_results(monkeypatch, tmp_path):
    picture = tmp_path / "scorecard.png"
    monkeypatch.setattr(scorecard_pictures, "PICTURE", picture)
    scorecard_pictures.draw({"seeds": {}})
    assert not picture.exists()
    scorecard_pictures.draw(demo(example_scorecard()))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("configured", "sources"),
    [
        ("", ["network"]),
        ("global.index-url='https://mirror/simple'\n", ["network"]),
        ("global.extra-index-url='file:///a/simple file:///b/simple'\n", ["local", "network"]),
        (":env:.find-links='/wheels'\nglobal.index-url='file:///a/simple'\n", ["local"]),
    ],
)
def test_the_sources_of_packages_are_recorded_without_their_addresses(configured, sources):
    assert package_sources(configured) == sources
