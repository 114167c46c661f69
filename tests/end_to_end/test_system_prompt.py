"""A teacher with a system prompt that the student never sees, from its climb to the audit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lineage.artifacts import Release, Student, read_manifest
from lineage.digest import digest_bytes
from lineage.operations.verify import Verifier
from lineage.records.system_prompt import read_system_prompts
from lineage.registry.registry import Registry
from lineage.rules.evidence import Evidence, artifact_of, taken
from lineage.rules.plan import planned as planned_by
from lineage.rules.release import check_release
from lineage.rules.student import walk
from tasks.attribution.audit import explain
from tasks.attribution.opened import open_models
from tasks.attribution.subject import find_subject
from tasks.gate.measured import ProbeSettings
from tasks.gate.probe_step import measure_plan
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy
from tasks.mopd.counterfactual.recompute import replay_round
from tasks.mopd.round_form import RecomputeSpec
from tasks.mopd.round_models import round_models
from tasks.mopd.source import open_source
from tasks.rollout.settings import SamplingSettings
from tests.support.courses import behavior
from tests.support.mopd_rounds import Run, faculty_at, planned, told
from tests.support.refusals import provost
from tests.support.refused import refused
from tests.support.tiny_faculty import ORDER, climb, home_at, importable, write_team

pytestmark = pytest.mark.medium  # a whole climb and a consolidation

TEXT = "loud"
PACKAGE = "prompted_teams"
DIGEST = digest_bytes(TEXT.encode())
ASKED = behavior()


@pytest.fixture(scope="module")
def runner(home_with_fork_point, tmp_path_factory):
    """A home with a teacher that reads a system prompt, and one that reads none."""
    root = tmp_path_factory.mktemp("prompted")
    for team in ("shout", "whisper"):
        write_team(root, team, package=PACKAGE)
    settings = root / PACKAGE / "shout" / "settings.py"
    declared = f'version="1.0.0", system_prompt={TEXT!r}'
    settings.write_text(settings.read_text().replace('version="1.0.0"', declared))
    home = tmp_path_factory.mktemp("prompted_home") / "home"
    with importable(root), faculty_at(home_with_fork_point, home) as made:
        for team in ("shout", "whisper"):
            climb(f"{PACKAGE}.{team}")
        yield made


@pytest.fixture(scope="module")
def plan(runner):
    return planned(runner)


@pytest.fixture(scope="module")
def run(runner, plan):
    return Run(runner, plan, told())


def release_of(runner, team):
    entry = Registry(runner.store).resolve(f"{team}@released")
    return entry, read_manifest(runner.store, entry.digest, Release)


def records_of(runner, kind):
    found = (runner.records.read(digest) for digest in runner.records.all())
    return [made for made in found if made.kind == kind]


def test_the_release_and_every_record_of_the_climb_name_it(runner):
    entry, release = release_of(runner, "shout")
    assert release.system_prompt == TEXT
    made = runner.records.read(release.checkpoint.record)
    assert read_system_prompts(made) == [("", DIGEST)]
    assert read_system_prompts(runner.records.read(release.precursor.record)) == [("", DIGEST)]
    # The teacher was evaluated with it, and the fork point without.
    by_checkpoint = {
        item.artifact: read_system_prompts(made)
        for made in records_of(runner, "evaluation")
        for item in made.inputs
        if item.role == "checkpoint" and made.settings["domain"] == "shout"
    }
    assert by_checkpoint[release.checkpoint.digest] == [("", DIGEST)]
    assert by_checkpoint[release.fork_point.digest] == []
    assert runner.store.get_bytes(DIGEST).decode() == TEXT
    assert not Verifier(runner.store).verify(entry.record).problems


def test_its_history_shows_the_text(runner):
    with home_at(Path(runner.store.uri).parent):
        shown = " ".join(provost("lineage", "show", "shout@1").split())
        document = json.loads(provost("lineage", "show", "shout@1", "--json"))
    assert f"alone sees the system prompt: {TEXT}" in shown
    of_release = [each for each in document["records"] if each["kind"] == "release"]
    assert [each["system_prompt"] for each in of_release] == [TEXT]


def test_a_release_without_one_is_written_as_ever(runner):
    entry, release = release_of(runner, "whisper")
    assert release.system_prompt == ""
    assert "system_prompt" not in json.loads(runner.store.get_bytes(entry.digest))


@pytest.mark.parametrize("declared", ["", "quiet"])
def test_a_release_that_declares_another_contradicts_its_records(runner, declared):
    entry, release = release_of(runner, "shout")
    made = runner.records.read(entry.record)
    changed = release.model_copy(update={"system_prompt": declared})
    evidence = Evidence(runner.store)
    assert {b.rule for b in check_release(evidence, made, release)} == set()
    assert [b.rule for b in check_release(evidence, made, changed)] == ["system-prompt"] * 2


def test_the_plan_says_so_and_the_round_takes_it(plan, run):
    [note] = [note for note in plan.notes if note.code == "system-prompt"]
    assert (note.severity, note.subject) == ("note", "teacher.shout@1")
    assert TEXT in note.evidence
    assert [t.system_prompt for t in plan.teachers] == [TEXT, ""]
    assert run.inputs("system_prompt") == {"shout": DIGEST}


def test_a_round_without_it_is_another_round(runner, plan, run):
    silent = [t.model_copy(update={"system_prompt": ""}) for t in plan.teachers]
    other = Run(runner, plan.model_copy(update={"teachers": silent}), told())
    assert other.inputs("system_prompt") == {}
    assert other.student.record != run.student.record
    first, second = run.metrics(), other.metrics()
    assert first["kl/shout"][0] != pytest.approx(second["kl/shout"][0], rel=1e-3)
    assert first["kl/whisper"][0] == pytest.approx(second["kl/whisper"][0], rel=1e-5)
    # Both students sample the same first rollouts: neither reads the system prompt.
    kept = [next(each.ledger().rollouts()).ids for each in (run, other)]
    assert kept[0] == kept[1]


def test_the_ledger_keeps_what_the_teacher_read(runner, plan, run):
    chat = ChatTokens(load_policy(runner.store.tree(plan.student.digest)).tokenizer)
    for kept in run.ledger().rollouts():
        if kept.teacher == "whisper":
            assert kept.teacher_prompt == ()
            continue
        word = kept.prompt.removeprefix("shout-")
        system = {"role": "system", "content": f"{TEXT}\n\nshout"}
        assert list(kept.teacher_prompt) == chat.prompt([system, {"role": "user", "content": word}])
        assert list(kept.ids[: kept.response[0]]) == chat.prompt(
            [{**system, "content": "shout"}, {"role": "user", "content": word}]
        )


def test_the_audit_adds_up_and_scores_the_teacher_behind_it(runner, run):
    asked = replace_domain(ASKED, "")
    audit = explain(runner, run.student.digest, [asked, replace_domain(ASKED, "whisper")])
    assert audit.residual < 3e-3
    unsure, whispered = audit.behaviors
    _, release = release_of(runner, "shout")
    start = find_subject(runner, run.student.digest).start
    before = said(runner, start.digest, asked, "")
    for shown, text in ((unsure, TEXT), (whispered, "")):
        behind = said(runner, release.checkpoint.digest, asked, text)
        assert shown.taught["shout"] == pytest.approx(behind - before, abs=2e-4)
    assert unsure.taught["whisper"] == pytest.approx(whispered.taught["whisper"], abs=1e-6)
    assert unsure.taught["shout"] != pytest.approx(whispered.taught["shout"], abs=1e-3)


def replace_domain(asked, domain):
    return asked.model_copy(update={"domain": domain})


def said(runner, checkpoint, asked, text):
    """Return a behavior's log-probability behind a system prompt, by a plain forward."""
    policy = load_policy(runner.store.tree(checkpoint))
    chat = ChatTokens(policy.tokenizer)
    messages = [turn.model_dump() for turn in asked.prompt]
    if text:
        messages = [{"role": "system", "content": text}, *messages]
    prompt, answer = chat.prompt(messages), chat.answer(asked.response)
    with torch.no_grad():
        logits = policy.model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
    rows = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return sum(float(logits[row, token]) for row, token in zip(rows, answer, strict=True))


def test_a_replay_of_the_kept_rollouts_is_the_round_again(runner, plan, run):
    whole = told(loop={"num_steps": 2})
    whole = whole.model_copy(
        update={"ledger": whole.ledger.model_copy(update={"rollouts_per_teacher": 99})}
    )
    short = Run(runner, plan, whole)
    ledger = find_subject(runner, short.student.digest).ledger_artifact
    spec = RecomputeSpec(plan=plan, settings=whole, seed=0, student=short.student, ledger=ledger)
    made = replay_round(runner, spec)
    assert read_system_prompts(runner.records.read(made.record)) == [("shout", DIGEST)]
    subject = find_subject(runner, short.student.digest)
    again = type(subject.ledger).open(runner.store.tree(made.digest))
    [segment] = again.manifest.segments
    assert segment.norms["unreplayed"] < 1e-3 * segment.change
    assert open_models(runner, subject).conservation.unexplained < 1e-6


def test_the_gate_measures_the_teacher_behind_it(runner, plan):
    settings = ProbeSettings(prompts_per_domain=8, sampling=SamplingSettings(max_new_tokens=4))
    found, made = measure_plan(runner, plan, settings)
    assert read_system_prompts(runner.records.read(made.record)) == [("shout", DIGEST)]
    silent = [t.model_copy(update={"system_prompt": ""}) for t in plan.teachers]
    other, _ = measure_plan(runner, plan.model_copy(update={"teachers": silent}), settings)
    [shout, whisper], [plain, same] = (
        sorted(each.teachers, key=lambda teacher: teacher.name) for each in (found, other)
    )
    assert shout.reading.kl != pytest.approx(plain.reading.kl, rel=1e-3)
    assert shout.reading.student_entropy == pytest.approx(plain.reading.student_entropy, rel=1e-6)
    assert whisper.reading.kl == pytest.approx(same.reading.kl, rel=1e-6)


def test_the_student_as_its_own_teacher_reads_none(runner):
    plan = planned(runner, "shout@released=self", "whisper@released")
    assert [t.system_prompt for t in plan.teachers] == ["", ""]
    assert not [note for note in plan.notes if note.code == "system-prompt"]


def test_what_the_longer_prompt_leaves_no_room_for_is_refused_before_the_round(runner, plan):
    longest = [t.model_copy(update={"system_prompt": "a" * 120}) for t in plan.teachers[:1]]
    longer = plan.model_copy(update={"teachers": [*longest, *plan.teachers[1:]]})
    policy = load_policy(runner.store.tree(plan.student.digest))
    round_models(runner.store, longer, told())
    with refused("prompt-too-long", "'shout'"), open_source(runner, longer, policy, told(), 0):
        pass


def test_a_whole_consolidation_is_published_and_holds_to_its_records(runner):
    from workflows.consolidation.workflow import consolidate

    with home_at(Path(runner.store.uri).parent):
        consolidate(**ORDER)
    student = Registry(runner.store).resolve("student.general@1")
    assert not Verifier(runner.store).verify(student.record).problems
    card = read_manifest(runner.store, student.digest, Student).scorecard
    measured = {
        (item.role, item.name): read_system_prompts(runner.records.read(item.record))
        for item in runner.records.read(card.record).inputs
    }
    assert [row for row, read in measured.items() if read] == [("teacher.shout", "shout")]
    # A plan that says otherwise than the rounds and measurements did is contradicted by them.
    evidence, made = Evidence(runner.store), runner.records.read(student.record)
    plan = planned_by(evidence, artifact_of(taken(made, "plan")[0], "plan"))
    silent = [t.model_copy(update={"system_prompt": ""}) for t in plan.teachers]
    manifest = read_manifest(runner.store, student.digest, Student)
    other = replace(plan, teachers=tuple(silent))
    assert {b.rule for b in walk(evidence, manifest.checkpoint, other).breaches} == {"rounds"}
    assert not walk(evidence, manifest.checkpoint, plan).breaches
