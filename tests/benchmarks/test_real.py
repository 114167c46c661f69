"""The proof on a real model: its account of time, its equal budget, its rows, table and order."""

import json
from pathlib import Path

import pytest

from benchmarks.common.results import load
from benchmarks.real import own
from benchmarks.real.__main__ import main
from benchmarks.real.bench import Bench, UnfinishedStepError
from benchmarks.real.metered import REST, Meter, added
from benchmarks.real.settings import OFF_POLICY_PROMPTS, SFT, TEAMS, domain
from benchmarks.real.steps import MissingStepError, equal_steps, order, training_seconds
from benchmarks.real.table import as_table, climbs, draw, merges, minutes, students
from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import Outcomes, PromptOutcome, ScorecardSettings
from workflows.commands.faculty import team_module

CLEAN, DIRTY = {"commit": "c", "clean": True}, {"commit": "c", "clean": False}


def bench(tmp_path, circumstances=CLEAN):
    return Bench(tmp_path / "home", 1.0, tmp_path / "rows", circumstances)


def test_time_is_counted_by_kind_and_what_is_left_is_the_rest():
    times = iter([10.0, 12.0, 15.0, 15.5, 17.5, 20.0])
    meter = Meter(lambda: next(times))
    with meter.running("sft"):
        pass
    with meter.running("sft"):
        pass
    # (15 - 12) + (17.5 - 15.5) = 5 of the 20 - 10
    assert meter.total() == {"sft": 5.0, REST: 5.0}


def test_a_stopped_stage_is_counted_too():
    times = iter([0.0, 1.0, 4.0, 5.0])
    meter = Meter(lambda: next(times))
    with pytest.raises(KeyboardInterrupt), meter.running("mopd"):
        raise KeyboardInterrupt
    assert meter.total() == {"mopd": 3.0, REST: 2.0}


def test_calls_of_one_step_add_up():
    assert added({"sft": 1.0}, {"sft": 2.04, "rl": 3.0}) == {"sft": 3.0, "rl": 3.0}


def test_a_merge_pays_for_its_training_and_warm_up_alone():
    assert training_seconds({"mopd": 100.0, "warm_up": 20.0, "evaluation": 7.0}) == 120.0


def test_supervised_training_gets_the_time_of_the_merge():
    evaluated = 3 * domain("sums").num_evaluation
    team = {"sft": 4.0 * SFT.num_steps, "evaluation": 0.5 * evaluated}
    answering = 0.5 * OFF_POLICY_PROMPTS * len(TEAMS)
    steps = equal_steps(answering + 4.0 * len(TEAMS) * 30, [team] * len(TEAMS))
    assert steps == 30
    with pytest.raises(MissingStepError):
        equal_steps(answering, [team] * len(TEAMS))


def test_rows_of_a_changed_tree_are_drafts(tmp_path, capsys):
    changed = bench(tmp_path, DIRTY)
    changed.finish("gate", {"verdict": "draft"})
    assert not (tmp_path / "rows").exists()
    assert changed.row("gate")["figures"] == {"verdict": "draft"}
    clean = bench(tmp_path)
    clean.finish("gate", {"verdict": "result"})
    assert (tmp_path / "rows" / "gate.json").is_file()
    assert changed.row("gate")["figures"] == {"verdict": "result"}
    assert '"result"' in capsys.readouterr().out


@pytest.mark.parametrize("circumstances", [CLEAN, DIRTY])
def test_raw_rows_lie_beside_the_row_of_a_step(circumstances, tmp_path, capsys):
    given = bench(tmp_path, circumstances)
    given.finish("scorecard_0", {"card": {"a": 1}, own.PROMPTS: {"methods": [1, 2]}})
    assert given.row("scorecard_0")["figures"] == {"card": {"a": 1}}
    folder = tmp_path / ("rows" if circumstances["clean"] else "home/drafts")
    assert load(folder / "scorecard_0.rows.json.gz", {}) == {"methods": [1, 2]}
    assert own.PROMPTS not in capsys.readouterr().out


@pytest.mark.medium
def test_a_call_ends_after_its_time_and_the_next_one_adds_to_the_account(tmp_path):
    short = Bench(tmp_path / "home", 0.0001, tmp_path / "rows", CLEAN)
    with pytest.raises(UnfinishedStepError):
        short.run("gate", "--help")
    account = tmp_path / "home" / "spent" / "gate.json"
    first = sum(short.spent("gate").values())
    long = bench(tmp_path)
    assert long.run("gate", "--help") == {}
    assert account.is_file()
    assert sum(long.spent("gate").values()) > first


def measured(student, off_policy, **more):
    """A scorecard of two domains of three prompts, as ``scorecard`` keeps it in its row."""
    outcomes = {"fork_point": 0.0, "student": student, own.OFF_POLICY: off_policy}
    outcomes |= {"parameter_average": 0.1, "task_arithmetic": 0.15, **more}

    def rows(score):
        return {
            domain: tuple(PromptOutcome(prompt=f"{domain}-{n}", scores=(score,)) for n in range(3))
            for domain in ("sums", "checked")
        }

    card = make_scorecard(
        Outcomes(
            methods={name: rows(score) for name, score in outcomes.items()},
            teachers={domain: rows(0.8) for domain in ("sums", "checked")},
            settings=ScorecardSettings(temperature=1.0, samples=1, seed=0, max_tokens=48),
        ),
        resamples=50,
    )
    return {"figures": {"card": json.loads(json.dumps(card.document()))}}


class Given(dict):
    def row(self, step):
        return self.get(step, {})


def test_the_table_shows_each_seed_their_mean_and_what_the_student_is_ahead():
    rows = Given(scorecard_0=measured(0.4, 0.2), scorecard_2=measured(0.5, 0.25))
    lines = merges(rows).splitlines()
    assert lines[0] == "| method | seed 0 | seed 2 | mean |"
    assert lines[4] == "| student after its warm-up alone | - | - | - |"
    assert lines[5] == "| student (MOPD) | 0.400 | 0.500 | 0.450 |"
    # 0.4 - 0.2 and 0.5 - 0.25, each with its interval, and (0.2 + 0.25) / 2
    ahead = [cell.strip() for cell in lines[9].split("|")[2:5]]
    paired = [rows[f"scorecard_{seed}"]["figures"]["card"]["paired"]["overall"] for seed in (0, 2)]
    ends = [[f"{each[own.OFF_POLICY][end]:.3f}" for end in ("low", "high")] for each in paired]
    shown = [
        f"{m} ({low} to {high})" for m, (low, high) in zip(("0.200", "0.250"), ends, strict=True)
    ]
    assert ahead == [*shown, "0.225"]


def test_the_table_shows_what_the_warm_up_scores_alone_and_what_training_took():
    rows = Given(scorecard_0=measured(0.4, 0.2, warm_up=0.3), scorecard_1=measured(0.4, 0.2))
    rows["merge_0"] = {"processor_seconds": {"warm_up": 3000.0, "mopd": 1000.0, "gate": 7.0}}
    rows["off_policy_0"] = {"processor_seconds": {"warm_up": 2000.0, "rest": 9.0}}
    lines = merges(rows).splitlines()
    assert "| student after its warm-up alone | 0.300 | - | 0.300 |" in lines
    assert lines[-5:] == [
        "| processor seconds of the student's warm-up | 3,000 | - | 3,000 |",
        "| processor seconds of its MOPD | 1,000 | - | 1,000 |",
        "| share of the warm-up in both | 75% | - | 75% |",  # 3,000 of 4,000
        "| processor seconds of off-policy SFT | 2,000 | - | 2,000 |",
        "| its time over that of both | 50% | - | 50% |",
    ]


def test_the_time_of_the_whole_proof_counts_what_has_not_run_as_the_mean_of_its_kind():
    each = {step: {"processor_seconds": {"a": 60.0, "b": 30.0}} for step in order()}
    # 16 steps of 1.5 minutes
    assert minutes(Given(each)).splitlines()[-1] == "| the 16 steps that ran | 24, 0.4 h |"
    del each["merge_2"]
    each["merge_1"] = {"processor_seconds": {"a": 270.0}}
    lines = minutes(Given(each)).splitlines()
    assert "| merge 0, 1, 2 | 2, 4, n.r. |" in lines
    # 14 of 1.5 and one of 4.5; merge 2 as the mean of 1.5 and 4.5
    assert lines[-2:] == [
        "| the 15 steps that ran | 26, 0.4 h |",
        "| all, by estimate | 28, 0.5 h |",
    ]
    del each["gate"]
    assert "by estimate" not in minutes(Given(each))


def test_a_student_has_the_control_beside_it_once_its_seed_is_scored():
    against = dict.fromkeys(("fork_point", "teacher", "parameter_average", "task_arithmetic"), 0.1)
    score = {"what": "sums", "value": 0.4, "low": 0.3, "high": 0.5, "against": against}
    merge = {"figures": {"scores": [score]}}
    card = measured(0.4, 0.2)
    lines = students(Given(merge_0=merge, merge_1=merge, scorecard_0=card)).splitlines()
    control = card["figures"]["card"]["sums"][own.OFF_POLICY]
    shown = f"0.20 [{control['low']:.2f}, {control['high']:.2f}]"
    for line, seed, found in zip(lines[2:], "01", (shown, "-"), strict=True):
        assert line == f"| {seed} | sums | 0.40 [0.30, 0.50] | {found} |" + " 0.10 |" * 4


def test_the_picture_is_the_scorecards_and_needs_one(tmp_path):
    with pytest.raises(MissingStepError):
        draw(Given(), tmp_path / "real.png")
    draw(Given(scorecard_1=measured(0.4, 0.2)), tmp_path / "real.png")
    assert (tmp_path / "real.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_climbs_shows_the_gain_with_its_interval():
    scores = {"fork_point": 0.0, "after_sft": 0.25, "teacher": 0.5}
    figures = {"scores": scores, "gain": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    rows = Given(team_sums={"figures": figures, "processor_seconds": {"sft": 60.0, "rl": 60.0}})
    assert climbs(rows).splitlines()[2] == (
        "| sums | 0.000 | 0.250 | 0.500 | 0.500 (0.400 to 0.600) | 2 |"
    )


def test_what_is_left_comes_in_the_order_of_the_proof():
    every = order()
    assert every[:2] == ["model", "team_reversal"]
    assert every[-1] == "audit"
    assert len(every) == 1 + len(TEAMS) + 1 + 3 * 3 + 1
    assert as_table(Given()) == f"left: {', '.join(every)}\n"


@pytest.mark.parametrize("words", [["team", "poetry"], ["merge", "7"], ["gate", "0"], ["team"]])
def test_a_step_takes_its_own_names_alone(monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["real", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


@pytest.mark.parametrize("team", TEAMS)
def test_each_team_has_a_climb_of_its_own_name_and_a_lock(team):
    package = f"benchmarks.real.teams.{team}"
    module = team_module(package)
    assert module.climb.name == f"{package}.workflow.climb"
    assert module.DOMAIN.name == team
    assert (Path(module.__file__).parent / "pylock.toml").is_file()


def test_the_document_is_the_last_line():
    assert own.last_json('progress\n{"a": 1}\n') == {"a": 1}
