"""Ranks that sample with a real vLLM server: each its share, by weights that all of them wrote."""

import itertools
import json

import pytest

from tasks.model.files import load_model
from tasks.mopd.settings import TeacherPlacement
from tests.end_to_end.test_mopd_processes import Place, launcher, start_of
from tests.onpolicy.test_parallel import run
from tests.support.mopd_rounds import told

pytestmark = [pytest.mark.slow, pytest.mark.engine]
GAP = 1e-4
"""Nats per token by which servers may be away from the policy after an update; in fp32 they are
within 1e-5."""


def play(folder, ranks, start, servers, **told):
    """Return each rollout and the student of a run."""
    folder.mkdir()
    first, *others = servers
    more = {"other_urls": [other.url for other in others]}
    served = first.settings(folder / "weights", max_log_prob_gap=GAP, **more)
    told["sampling"] = {"engine": "vllm", "vllm": served.model_dump(mode="json")}
    run("ranks_play.py", ranks, folder, start, json.dumps(told))
    rollouts = itertools.chain(*json.loads((folder / "rollouts-0.json").read_text()))
    return [*rollouts], load_model(folder / "student").state_dict()


def assert_same(found, expected, start):
    """Compare two runs: their rollouts, and how far the weights moved."""
    (ranks, ours), (alone, theirs) = found, expected
    for one, other in zip(ranks, alone, strict=True):
        assert one["ids"] == other["ids"]
        assert one["sampler_log_probs"] == pytest.approx(
            other["sampler_log_probs"], rel=1e-3, abs=1e-4
        )
    before = load_model(start).state_dict()
    for name, weight in theirs.items():
        moved = float((weight - before[name]).norm())
        assert float((ours[name] - weight).norm()) <= 0.02 * moved + 1e-6, name
    assert any(float((theirs[name] - before[name]).norm()) > 0 for name in before)


@pytest.mark.parametrize(
    ("num_ranks", "loop"),
    [
        (2, {}),
        (2, {"adapter": {"rank": 2, "alpha": 4}}),
        (2, {"staleness": 1}),
        (4, {}),
        (4, {"adapter": {"rank": 2, "alpha": 4}}),
    ],
    ids=str,
)
def test_ranks_learn_what_one_process_does(server, start, tmp_path, num_ranks, loop):
    ranks = play(tmp_path / "ranks", num_ranks, start, [server], loop=loop)
    alone = play(tmp_path / "alone", 0, start, [server], loop=loop)
    assert_same(ranks, alone, start)


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_a_round_with_a_server_and_sharded_teachers_is_that_of_one_process(
    home_with_served_teachers, served, tmp_path, num_ranks
):
    settings = told({"reference_weight": 0.1}, sampling=served, placement=TeacherPlacement.SHARDED)
    runs = []
    for name, arguments in (("ranks", launcher(num_ranks)), ("alone", ())):
        place = Place(home_with_served_teachers, tmp_path / name)
        place.tell(settings=settings)
        runs.append(place.finish(*arguments).run())
    ranks, alone = runs
    assert ranks.student.record == alone.student.record
    kept = [[rollout.ids for rollout in run.ledger().rollouts()] for run in runs]
    assert kept[0] == kept[1]
    before, ours, theirs = (r.weights() for r in (start_of(alone, "student"), ranks, alone))
    for name, weight in theirs.items():
        moved = float((weight - before[name]).norm())
        assert moved > 0
        assert float((ours[name] - weight).norm()) <= 0.02 * moved + 1e-6, name
