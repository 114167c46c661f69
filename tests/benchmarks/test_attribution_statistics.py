"""The attribution benchmark's figures: shares, thresholds, agreement; arithmetic by hand."""

import json
import math

import pytest
import torch

from benchmarks.attribution import holders, tables
from benchmarks.attribution.answers import Answers, read
from benchmarks.attribution.estimators import OF_TWO_HOLDERS, PATH_INTEGRAL, TRACIN
from benchmarks.attribution.naming import _share, naming, verdict, who_is_named
from benchmarks.attribution.questions import NOBODY, OFF, OWN, SHARED, STYLE, Asked
from benchmarks.attribution.rows import PARTS, collected
from benchmarks.attribution.standins import mean_kl, netted, right_shares, without
from benchmarks.attribution.world import TEACHERS
from tasks.attribution.estimators import FIRST_ORDER, LOG_RATIO
from tests.support.courses import behavior

ASKED = [
    {"table": OWN, "teacher": "bank", "domain": "bank"},
    {"table": SHARED, "teacher": "day", "domain": "desk"},
    {"table": OFF, "teacher": "court", "domain": "helper"},
    {"table": STYLE, "teacher": "bank", "domain": "bank"},
    {"table": NOBODY, "teacher": "", "domain": "court"},
]
RIGHT = [item["teacher"] for item in ASKED]


def numbers(*by_place):
    """Return a table from one mapping of teachers a behavior; others have 0."""
    return {t: [place.get(t, 0.0) for place in by_place] for t in TEACHERS}


def plain(planted, nobodys):
    """Return a table in which the right teacher has a number, and "night" where nobody taught."""
    return numbers(*({who: planted} if who else {"night": nobodys} for who in RIGHT))


def answers(number, found, says=None, masks=None, told=None, others=None):
    full = {"full": [-1.0] * len(ASKED), "fork": [-2.0] * len(ASKED)}
    says = full | {f"no-{t}": [-2.0] * len(ASKED) for t in TEACHERS} | (says or {})
    return Answers(number, ASKED, says, masks or {}, found, told or {}, others or {})


def test_the_largest_number_alone_is_named_if_it_reaches_the_threshold():
    table = numbers({"bank": 0.5, "court": 0.4}, {"bank": 0.5, "court": 0.5}, {})
    assert who_is_named(table, 0, 0.5) == "bank"
    assert who_is_named(table, 0, 0.51) == ""
    assert who_is_named(table, 1, 0.1) == ""
    assert who_is_named(table, 2, 0.0) == ""


def test_a_share_has_wilsons_interval_at_the_size_that_sets_leave_of_it():
    # 3 of 4, sets of 1 and 0.5: variance 0.125, against 0.75 * 0.25 / 2 if independent: effect 4/3.
    # So 3 behaviors count. z^2 = 3.8416; middle (0.75 + z^2 / 6) / (1 + z^2 / 3) = 0.60962, half
    # 1.96 * sqrt(0.0625 + z^2 / 36) / (1 + z^2 / 3) = 0.35354.
    found = _share([[True, True], [True, False], []])
    assert found == {"share": 0.75, "low": 0.2561, "high": 0.9632, "of": 4}
    # One set of 4 counts whole: (0.75 + 0.4802 - 1.96 * sqrt(0.046875 + 0.060025)) / 1.9604.
    assert _share([[True, True, True, False]])["low"] == pytest.approx(0.3006, abs=1e-4)
    assert _share([[True], [True]])["high"] == 1.0


def test_a_threshold_is_chosen_on_two_sets_and_judged_on_the_others():
    # On sets 0 and 1 plants have 1.0 and nobody's behaviors 0.3: 0.35 is the next of the grid.
    chosen = [answers(n, {"x": plain(1.0, 0.3)}) for n in (0, 1)]
    found = naming(
        [*chosen, answers(2, {"x": plain(0.34, 0.4)}), answers(3, {"x": plain(0.35, 0.2)})]
    )
    assert found["x"]["threshold"] == 0.35
    assert found["x"]["score_where_it_was_chosen"] == 1.0
    # Set 2 has nobody named for plants and "night" for nobody's; set 3 is right of all.
    assert {kind: part["share"] for kind, part in found["x"]["right"].items()} == {
        **dict.fromkeys((OWN, SHARED, OFF, STYLE), 0.5),
        NOBODY: 0.5,
    }
    assert {part["share"] for part in found["x"]["another"].values()} == {0.0}
    assert found["x"]["largest"][OWN] == _share([[True]] * 4)


def test_another_teacher_is_counted_apart_from_none():
    wrong = numbers(*({"clinic": 1.0} for _ in RIGHT))
    found = naming(
        [*(answers(n, {"x": plain(1.0, 0.3)}) for n in (0, 1)), answers(2, {"x": wrong})]
    )
    assert {part["share"] for part in found["x"]["right"].values()} == {0.0}
    assert {part["share"] for part in found["x"]["another"].values()} == {1.0}


def test_the_products_rule_is_judged_where_the_student_took_a_plant_up():
    whos = [who or "night" for who in RIGHT]
    parts = numbers(*({who: -0.2 if place == 3 else 0.2} for place, who in enumerate(whos)))
    found = {LOG_RATIO: plain(1.0, 0.1), PATH_INTEGRAL: parts}
    says = {"full": [-1.0, -1.0, -3.0, -1.0, -1.0]}  # the third became less likely
    judged = verdict([answers(2, found, says), answers(3, found)])
    right = {kind: (part["share"], part["of"]) for kind, part in judged["right"].items()}
    assert right == dict.fromkeys((OWN, SHARED, STYLE, NOBODY), (1.0, 2)) | {OFF: (1.0, 1)}
    # Three names of set 2 and four of set 3; the style's updates pushed against it in both.
    assert [judged["names"][kind]["of"] for kind in ("pushed towards it", "did not")] == [5, 2]


def test_a_mean_over_sets_has_students_interval():
    # Mean 2, deviation 1, t of 2 degrees 4.302653: half 4.302653 / sqrt(3) = 2.4841.
    found = tables._over([1.0, math.nan, 2.0, 3.0])
    assert found == {"mean": 2.0, "low": -0.4841, "high": 4.4841, "sets": [1.0, 2.0, 3.0]}
    assert tables._over([math.nan]) is None
    assert tables._over([0.5]) == {"mean": 0.5, "low": None, "high": None, "sets": [0.5]}


def test_the_linear_datamodelling_score_is_a_mean_over_behaviors_and_a_constant_counts_as_none():
    masks = {"no-bank": ("bank",), "no-court": ("court",), "half-0": ("bank", "court")}
    says = {  # effects are 0, 1, 2 of the first behavior, and 2, 1, 0 of the second
        "no-bank": [-1.0, -3.0, -1.0, -1.0, -1.0],
        "no-court": [-2.0, -2.0, -1.0, -1.0, -1.0],
        "half-0": [-3.0, -1.0, -1.0, -1.0, -1.0],
    }
    asked = answers(0, {}, says, masks)
    told = {run: [n, n, 5.0, n, n] for n, run in enumerate(masks)}
    # Rank correlations 1 and -1, 0 for what is told as a constant, and 0 where nothing changed.
    assert tables._subsets(told, asked) == pytest.approx(0.0)
    told = {run: [n, 2 - n, 5.0, n, n] for n, run in enumerate(masks)}
    assert tables._subsets(told, asked) == pytest.approx(2 / 5)


def test_an_estimator_is_summed_over_those_who_are_left_out():
    asked = answers(0, {}, masks={"half-0": ("bank", "day")})
    table = plain(2.0, 7.0)
    assert tables._summed(asked, table) == {"half-0": [2.0, 2.0, 0.0, 2.0, 0.0]}


def test_agreement_is_over_all_pairs_the_taught_and_the_strangers():
    asked = answers(0, {})
    assert tables._taught(asked) == [("bank", 0), ("day", 1), ("bank", 3)]
    strange = tables._strange(asked)
    assert len(tables._pairs(asked)) == 30
    # Of 6 teachers: 5, 4 (both of the desk), 5, 5, 5 (the court is at home where nobody taught).
    assert [sum(place == p for _, p in strange) for place in range(5)] == [5, 4, 5, 5, 5]
    one = numbers({"bank": 1.0}, {"day": 2.0}, {"court": 3.0}, {"bank": 4.0}, {})
    two = numbers({"bank": 4.0}, {"day": 3.0}, {"court": 2.0}, {"bank": 1.0}, {})
    found = tables._agreement([(one, two, asked)])
    assert found["in domain"]["mean"] == -1.0
    assert found["off domain"] is None  # both are 0 everywhere


def test_noise_is_the_median_effect_and_the_median_distance_of_two_seeds():
    def of(effect):  # of "bank", "day" and "court" alone, for every behavior
        return answers(0, {}, {f"no-{t}": [-1.0 - effect] * 5 for t in ("bank", "day", "court")})

    found = tables._noise([(of(3.0), of(1.0))])
    assert found["in domain"]["effect"]["mean"] == 3.0
    assert found["in domain"]["between seeds"]["mean"] == 2.0


def test_substitutes_are_means_over_students_and_then_sets():
    rows = [[0.1, 0.3], [0.4]]
    sets = [
        answers(
            n,
            {},
            others={
                "rehearsals": {
                    "stand_ins": {
                        str(place): {"surgery": {"kl": kl}} for place, kl in enumerate(own)
                    }
                }
            },
        )
        for n, own in enumerate(rows)
    ]
    # 0.2 and 0.4: mean 0.3.
    assert tables._stand_ins(sets)["surgery"]["kl"]["mean"] == pytest.approx(0.3)


def test_completeness_and_seconds_are_over_all_sets():
    def of(residuals, seconds):
        names = ("path integral", "replayed integral")
        found = {"residuals": dict.fromkeys(names, residuals), "seconds": {"x": seconds}}
        return answers(0, {}, others={"estimates": found})

    sets = [of([0.005, 0.02], 1.0), of([0.001, 0.01], 4.0)]
    found = tables._completeness(sets)["path integral"]
    assert found == {"largest": 0.02, "median": 0.0075, "share_within_a_hundredth": 0.75}
    assert tables._seconds(sets) == {"x": 2.5}


def rows_of(found):
    return {"sets": {"0": {"two_holders": None, "seeds": {"0": found}}}, "demo": None}


def test_what_follows_from_other_estimators_is_computed_from_the_rows():
    count = len(ASKED)
    says = {"full": [-1.0] * count, "fork": [-3.0] * count}
    says |= {f"no-{t}": [-2.0] * count for t in TEACHERS}
    says |= {f"half-{place}": [-2.0] * count for place in (0, 1)}
    found = {
        "truth": {"asked": ASKED, "says": says},
        "estimates": {
            "tables": {
                PATH_INTEGRAL: plain(2.0, 0.5),
                LOG_RATIO: plain(1.0, 0.7),
                TRACIN: numbers({"bank": -5.0}, {"day": 0.5}, {}, {}, {}),
            }
        },
    }
    read_back = read(rows_of(found), 0, 0)
    assert read_back.change == [2.0] * count
    assert read_back.truth["clinic"] == [1.0] * count
    assert read_back.tables["taught and heard"] == plain(1.0, 0.5)
    # The change goes to the domain's owner where it has one: bank 0 and 3, court 4; no desk.
    sized = read_back.tables["owner, sized by the change"]
    assert sized == numbers({"bank": 2.0}, {}, {}, {"bank": 2.0}, {"court": 2.0})
    # A log-probability of -1 leaves nothing below: an effect is at least -1.
    assert read_back.told[FIRST_ORDER]["no-bank"] == [-1.0, 0.0, 0.0, 0.0, 0.0]
    assert read_back.tables[FIRST_ORDER]["day"] == [0.0, 0.5, 0.0, 0.0, 0.0]
    assert read(rows_of({}), 0, 0) is None
    assert read(rows_of({}), 1, 0) is None


def test_rows_hold_all_parts_that_were_written_and_no_others(tmp_path):
    home = tmp_path / "set-3" / "seed-1"
    home.mkdir(parents=True)
    for part in PARTS[:2]:
        (home / f"{part}.json").write_text(json.dumps({"of": part}))
    (tmp_path / "demo.json").write_text("[1]")
    assert collected(tmp_path, [3, 4]) == {
        "sets": {
            "3": {"two_holders": None, "seeds": {"1": {p: {"of": p} for p in PARTS[:2]}}},
            "4": {"two_holders": None, "seeds": {}},
        },
        "demo": [1],
    }


def test_two_holders_are_counted_by_the_largest_number_and_by_the_products_rule():
    # Three plants: heard alone, both alike, and the unheard one alone by its log-ratio.
    ratio = numbers({"bank": 2.0}, {"bank": 2.0, "court": 1.9}, {"court": 2.0})
    parts = numbers(*({"bank": 1.0, "court": 1.0} for _ in range(3)))
    of_set = dict.fromkeys(OF_TWO_HOLDERS, parts) | {LOG_RATIO: ratio, PATH_INTEGRAL: parts}
    of_set[holders.SAYS] = {
        "full": [-1.0, -1.0, -1.0],
        "fork": [-3.0, -3.0, -3.0],
        "no-bank": [-2.0, -4.0, -1.5],  # 1, 3 and 0.5 nats are lost
        "no-court": [-1.0, -1.25, -1.0],
    }
    found = holders.table([of_set])
    assert found["plants"] == 3
    assert found["largest"][LOG_RATIO] == {"who was heard": 2 / 3, "who was not": 1 / 3}
    assert found["verdict"] == {"who was heard": 1, "both": 1, "who was not": 1, "nobody": 0}
    assert found["median_nats_lost_without"] == {"bank": 1.0, "court": 0.0}


def test_a_share_of_a_displacement_is_taken_out():
    student, moved = {"w": torch.tensor([3.0, 1.0])}, {"w": torch.tensor([2.0, 0.0])}
    assert without(student, moved, 0.25)["w"].tolist() == [2.5, 1.0]


def test_what_others_took_back_stays_with_the_student():
    # "court" took back a quarter of (2, 0); "clinic" pushed the same way, which changes nothing.
    moved = {
        "bank": {"w": torch.tensor([2.0, 0.0])},
        "court": {"w": torch.tensor([-0.5, 9.0])},
        "clinic": {"w": torch.tensor([1.0, 0.0])},
    }
    assert netted({"w": torch.tensor([3.0, 1.0])}, moved, "bank")["w"].tolist() == [1.5, 1.0]
    # More than all of it cannot be taken back.
    moved["court"] = {"w": torch.tensor([-5.0, 0.0])}
    assert netted({"w": torch.tensor([3.0, 1.0])}, moved, "bank")["w"].tolist() == [3.0, 1.0]


def test_divergence_is_a_mean_over_tokens():
    truth_NV = torch.tensor([[0.5, 0.5], [1.0, 1e-30]]).log()
    other_NV = torch.tensor([[0.25, 0.75], [1.0, 1e-30]]).log()
    # 0.5 ln 2 + 0.5 ln (2/3) = 0.143841 and 0.
    assert mean_kl(truth_NV, other_NV) == pytest.approx(0.0719205, abs=1e-6)
    assert mean_kl(truth_NV, truth_NV) == 0.0


def test_answers_are_right_word_by_word_and_sorted_by_who_taught_them():
    taught = [
        Asked("plants", "bank", behavior(domain="bank")),
        Asked("plants", "bank", behavior(domain="bank")),
        Asked(STYLE, "", behavior(domain="bank")),
        Asked("plants", "court", behavior(domain="court")),
        Asked(STYLE, "", behavior(domain="court")),
        Asked(STYLE, "", behavior(domain="clinic")),
    ]
    found = right_shares(taught, [0.0, 1.0, 0.0, 0.0, 2.0, 0.0], "bank")
    assert found == {"own plants": 0.5, "own style": 1.0, "others": round(2 / 3, 4)}
