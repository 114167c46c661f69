"""A consolidation's plan: resolved once, checked by record, and no plan where something misfits."""

import pytest

from lineage.artifacts import Artifact, put_manifest
from lineage.errors import LineageError
from lineage.registry.registry import Registry
from tasks.gate.plan import MisfitError, make_plan, propose
from tasks.gate.probe_step import _subject as subject_of
from tasks.gate.probe_step import prompts_of
from tasks.model.files import Policy, save_policy
from tasks.model.identity import template_digest, tokenizer_digest
from tasks.platform.step_runner import StepRunner
from tests.support.making import release_of, take, write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import raised, refused
from tests.support.tiny_models import saved_policy, tiny_policy, tokenizer, with_template

PARTS = {
    "evaluation": "dataset",
    "sft": "dataset",
    "train": "dataset",
    "validation": "dataset",
    "environment": "environment",
    "scorecard": "scorecard",
    "sketches": "sketch",
}


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def faculty(runner):
    return Faculty(runner)


class Faculty:
    """Registers a fork point and teachers that descend from it, by record."""

    def __init__(self, runner):
        self.runner = runner
        self.fork_point = self.checkpoint("fork-point", 0)
        self.register("fork-point", self.fork_point, "checkpoint")

    def checkpoint(self, name, seed, *parents):
        """Return (record, digest) of a real checkpoint that descends from ``parents``."""
        digest = self.runner.store.put_tree(saved_policy(seed))
        inputs = [take("start", parent) for parent in parents]
        return write_record(self.runner.store, b"", *inputs, output=digest, name=name)

    def register(self, name, made, kind):
        record, digest = made
        artifact = Artifact(kind=kind, digest=digest, record=record)
        return Registry(self.runner.store).register(name, artifact, owner="team")

    def teacher(self, domain, seed, *, parent=None, declared=None, recorded=True, **changed):
        """Release a teacher of a domain; return its entry."""
        made = self.checkpoint(f"{domain}-{seed}", seed, parent or self.fork_point)
        parts = {
            part: self.runner.store.put_bytes(f"{part} of {domain}".encode()) for part in PARTS
        }
        release = release_of(
            domain,
            **{
                **parts,
                "checkpoint": made[1],
                "rung": made[1],
                "precursor": made[1],
                "fork_point": (declared or parent or self.fork_point)[1],
                "tokenizer": tokenizer_digest(tokenizer()),
                "template": template_digest(tokenizer()),
                **changed,
            },
        )
        teacher = release.checkpoint.model_copy(update={"record": made[0] if recorded else ""})
        release = release.model_copy(update={"checkpoint": teacher})
        digest = put_manifest(self.runner.store, release)
        record = write_record(
            self.runner.store, b"", take("checkpoint", made), output=digest, output_kind="release"
        )
        return self.register(f"teacher.{domain}", record, "release")


def plans(runner):
    return [d for d in runner.records.all() if runner.records.read(d).kind == "plan"]


def refusal(runner, references, student="fork-point@1"):
    """Return why a plan is refused; it stands in the store, so that a waiver can name it."""
    with pytest.raises(MisfitError) as caught:
        make_plan(runner, references, student)
    assert len(plans(runner)) == 1
    assert "nothing was trained" in str(caught.value)
    return str(caught.value)


def test_teachers_that_fit_are_planned_by_digest(runner, faculty):
    math, code = faculty.teacher("math", 1), faculty.teacher("code", 2)
    plan = make_plan(runner, ["math@1", "teacher.code@1"], "fork-point@1")
    assert [teacher.domain for teacher in plan.teachers] == ["math", "code"]
    assert [teacher.reference for teacher in plan.teachers] == ["teacher.math@1", "teacher.code@1"]
    assert [teacher.release.digest for teacher in plan.teachers] == [math.digest, code.digest]
    assert plan.student.digest == plan.fork_point.digest == faculty.fork_point[1]
    assert [note for note in plan.notes if note.severity == "warning"] == []


def test_the_same_references_give_the_same_plan_and_one_record(runner, faculty):
    faculty.teacher("math", 1)
    first = make_plan(runner, ["math@1"], "fork-point@1")
    assert make_plan(runner, ["teacher.math@1"], "fork-point@1") == first
    assert plans(runner) == [first.artifact.record]
    roles = [(item.role, item.name) for item in runner.records.read(first.artifact.record).inputs]
    assert roles == [("student", ""), ("release", "math")]


def test_an_alias_that_moves_afterwards_does_not_move_the_plan(runner, faculty):
    faculty.teacher("math", 1)
    registry = Registry(runner.store)
    registry.point("teacher.math", "released", 1, by="team")
    first = make_plan(runner, ["math@released"], "fork-point@1")
    faculty.teacher("math", 5)
    registry.point("teacher.math", "released", 2, by="team")
    second = make_plan(runner, ["math@released"], "fork-point@1")
    assert first.teachers[0].reference == "teacher.math@1"
    assert second.teachers[0].reference == "teacher.math@2"
    assert first.artifact.record != second.artifact.record


def test_a_plan_without_teachers_is_refused(runner, faculty):
    with refused("no-teachers"):
        make_plan(runner, [], "fork-point@1")


def test_another_fork_point_is_refused(runner, faculty):
    other = faculty.checkpoint("other", 9)
    faculty.teacher("math", 1)
    faculty.teacher("code", 2, parent=other)
    message = refusal(runner, ["math@1", "code@1"])
    assert "teacher.code@1 [other-fork-point]" in message
    assert other[1] in message
    assert faculty.fork_point[1] in message
    assert "math" not in message


def test_a_declared_fork_point_that_the_records_contradict_is_refused(runner, faculty):
    other = faculty.checkpoint("other", 9)
    faculty.teacher("math", 1, parent=other, declared=faculty.fork_point)
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [false-ancestry]" in message
    assert "ask the owner" in message


def test_a_teacher_that_no_record_made_is_refused_with_the_way_to_import_it(runner, faculty):
    faculty.teacher("math", 1, recorded=False)
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [unproven-ancestry]" in message
    assert "provost teacher import" in message


def test_a_teacher_that_no_record_made_can_be_measured(runner, faculty):
    faculty.teacher("math", 1, recorded=False, **readable_prompts(runner))
    plan = propose(runner, ["math@1"], "fork-point@1")
    [teacher] = plan.teachers
    subject = subject_of(runner, plan, teacher, 1)
    assert subject.folder == runner.store.tree(teacher.checkpoint.digest)
    assert subject.siblings == ()


def readable_prompts(runner):
    line = b'{"id": "p", "messages": [{"role": "user", "content": "a"}], "task": {}}\n'
    return {"validation": runner.store.put_bytes(line)}


@pytest.mark.parametrize("part", ["tokenizer", "template"])
def test_a_tokenizer_or_template_that_the_checkpoint_does_not_hold_is_refused(
    runner, faculty, part
):
    faculty.teacher("math", 1, **{part: "sha256:" + "1" * 64})
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [false-identity]" in message
    assert f"[other-{part}]" not in message  # what it holds is the student's


def other_template(runner, faculty, tmp_path):
    other = with_template("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}")
    folder = save_policy(Policy(tiny_policy().model, other), tmp_path / "other-template")
    return runner.store.put_tree(folder), template_digest(other)


def test_another_template_is_refused_though_the_release_says_otherwise(runner, faculty, tmp_path):
    """It is never rendered: it would not end."""
    digest, _ = other_template(runner, faculty, tmp_path)
    faculty.teacher("math", 1, checkpoint=digest)
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [false-identity]" in message
    assert "teacher.math@1 [other-template]" in message
    assert "--reason" not in message  # it is never waived


def test_another_template_is_refused_where_the_release_says_so(runner, faculty, tmp_path):
    digest, template = other_template(runner, faculty, tmp_path)
    faculty.teacher("math", 1, checkpoint=digest, template=template)
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [other-template]" in message
    assert "[false-identity]" not in message


@pytest.mark.parametrize("content", ["{", "[]", '{"model": 1}'])
def test_a_tokenizer_that_cannot_be_read_is_refused_by_name(runner, faculty, tmp_path, content):
    folder = save_policy(tiny_policy(), tmp_path / "broken")
    (folder / "tokenizer.json").write_text(content)
    faculty.teacher("math", 1, checkpoint=runner.store.put_tree(folder))
    with raised(LineageError, "unreadable-tokenizer"):
        make_plan(runner, ["math@1"], "fork-point@1")


def test_every_finding_is_reported_at_once(runner, faculty):
    faculty.teacher("math", 1, template="sha256:" + "1" * 64)
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    message = refusal(runner, ["math@1", "code@1"])
    assert "teacher.math@1 [false-identity]" in message
    assert "teacher.code@1 [other-fork-point]" in message
    assert message.count("What to do: ") == 2


def test_a_recalled_teacher_is_refused_with_its_reason(runner, faculty):
    faculty.teacher("math", 1)
    Registry(runner.store).recall("teacher.math", 1, by="team", reason="leaked answers")
    message = refusal(runner, ["math@1"])
    assert "[recalled-input]" in message
    assert "leaked answers" in message


def test_a_teacher_that_descends_from_a_recalled_one_is_refused(runner, faculty):
    first = faculty.teacher("math", 1)
    Registry(runner.store).recall("teacher.math", 1, by="team", reason="leaked answers")
    recalled = (first.record, first.digest)
    made = write_record(runner.store, b"", take("teacher", recalled), output=faculty.fork_point[1])
    faculty.teacher("code", 2, parent=made)
    message = refusal(runner, ["code@1"])
    assert "[recalled-input]" in message
    assert "an ancestor: teacher.math@1 was recalled: leaked answers" in message


def test_two_teachers_of_one_domain_are_refused(runner, faculty):
    faculty.teacher("math", 1)
    faculty.teacher("math", 2)
    with pytest.raises(MisfitError, match="math@2"):
        make_plan(runner, ["math@1", "math@2"], "fork-point@1")
    assert plans(runner) == []


def test_one_checkpoint_under_two_domains_is_noted(runner, faculty):
    made = faculty.checkpoint("both", 3, faculty.fork_point)
    for domain in ("math", "code"):
        faculty.teacher(domain, 1, checkpoint=made[1])
    plan = make_plan(runner, ["math@1", "code@1"], "fork-point@1")
    assert {note.code for note in plan.notes} >= {"same-checkpoint"}
    assert {note.subject for note in plan.notes if note.code == "same-checkpoint"} == {
        "teacher.math@1",
        "teacher.code@1",
    }


def test_a_student_with_another_template_is_refused(runner, faculty, tmp_path):
    faculty.teacher("math", 1)
    other = Policy(tiny_policy().model, with_template("{{ messages }}"))
    digest = runner.store.put_tree(save_policy(other, tmp_path / "other-template"))
    made = write_record(runner.store, b"", output=digest, name="other")
    faculty.register("fork-point", made, "checkpoint")
    assert "[other-template]" in refusal(runner, ["math@1"], "fork-point@2")


def test_a_teacher_without_its_records_is_named(runner, faculty):
    sft = faculty.checkpoint("math-sft", 3, faculty.fork_point)
    faculty.teacher("math", 1, parent=sft, declared=faculty.fork_point)
    runner.store.blobs.path(sft[0]).unlink()
    with raised(LineageError, "unreadable-records", "math@1"):
        make_plan(StepRunner(), ["math@1"], "fork-point@1")


def test_prompts_that_cannot_be_read_are_named_by_teacher_and_domain(runner, faculty):
    faculty.teacher("math", 1, validation=runner.store.put_bytes(b""))
    [teacher] = make_plan(runner, ["math@1"], "fork-point@1").teachers
    with refused("unusable-prompts", "teacher.math@1", "'math'"):
        prompts_of(runner, teacher, teacher.validation)
