"""A climb becomes a release: what the manifest says is what was measured, made and stored."""

import json

import pytest
from tiny_models import tiny_policy

from lineage.artifacts import Artifact, Release, Rung, Student, read_manifest
from lineage.errors import LineageError
from lineage.registry import Registry
from tasks import publication, step
from tasks.handover import Climb, Domain, DomainSettings, Plan, PlannedTeacher
from tasks.model.files import save_policy
from tasks.model.identity import identity_of
from tasks.release import release as releasing
from tasks.rollout.settings import SamplingSettings
from tasks.step import Bench
from tests.lineage.making import take, write_record

SAMPLING = SamplingSettings(temperature=0.7, max_new_tokens=9)


@pytest.fixture
def bench(home, monkeypatch):
    monkeypatch.setattr(step, "mirror_record", lambda *_: True)
    monkeypatch.setattr(publication, "mirror_entry", lambda *_: True)
    return Bench()


@pytest.fixture
def made(bench, tmp_path):
    return Made(bench, tmp_path)


class Made:
    """What a climb hands over, put into the store without training."""

    def __init__(self, bench, folder):
        self._bench, self._folder = bench, folder
        self.fork_point = self.checkpoint(0)
        self.precursor = self.checkpoint(1)

    def checkpoint(self, seed):
        folder = save_policy(tiny_policy(seed), self._folder / f"seed-{seed}")
        digest = self._bench.store.put_tree(folder)
        return self._recorded("checkpoint", digest, seed)

    def part(self, kind, text):
        return self._recorded(kind, self._bench.store.put_bytes(text.encode()), text)

    def _recorded(self, kind, digest, name):
        record, _ = write_record(
            self._bench.store, b"", output=digest, output_kind=kind, name=str(name)
        )
        return Artifact(kind=kind, digest=digest, record=record)

    def domain(self, name="math", **changed):
        parts = {
            "environment": self.part("environment", "bundle"),
            **{part: self.part("dataset", part) for part in ("train", "validation", "evaluation")},
            "demonstrations": self.part("dataset", '{"one": 1}\n{"two": 2}\n'),
            "sketches": self.part("sketch", "sketch"),
        }
        settings = DomainSettings(name=name, owner=f"team-{name}", version="2.1", licence="MIT")
        return Domain(settings=settings, **{**parts, **changed})

    def climb(self, *seeds):
        return Climb(
            fork_point=self.fork_point,
            precursor=self.precursor,
            ladder=[
                Rung(step=10 * (place + 1), checkpoint=self.checkpoint(seed))
                for place, seed in enumerate(seeds)
            ],
        )

    def release(self, *seeds, **changed):
        card = self.part("scorecard", "card")
        climb, domain = self.climb(*seeds), self.domain(**changed)
        return releasing.release_teacher(self._bench, climb, domain, card, SAMPLING)


def manifest_of(bench, artifact, model=Release):
    return read_manifest(bench.store, artifact.digest, model)


def test_the_last_rung_is_the_teacher(bench, made):
    manifest = manifest_of(bench, made.release(2, 3))
    assert [rung.step for rung in manifest.ladder] == [10, 20]
    assert manifest.checkpoint == manifest.ladder[-1].checkpoint
    assert manifest.checkpoint.digest == made.checkpoint(3).digest
    assert manifest.fork_point.digest == made.fork_point.digest
    assert manifest.precursor.digest == made.precursor.digest


def test_what_the_team_says_of_itself_travels(bench, made):
    manifest = manifest_of(bench, made.release(2))
    assert (manifest.domain, manifest.owner) == ("math", "team-math")
    assert (manifest.team_version, manifest.licence) == ("2.1", "MIT")
    assert (manifest.sampling.temperature, manifest.sampling.max_new_tokens) == (0.7, 9)


def test_tokenizer_and_template_are_read_from_the_teacher(bench, made):
    manifest = manifest_of(bench, made.release(2))
    folder = bench.store.tree(manifest.checkpoint.digest)
    assert (manifest.tokenizer, manifest.template) == identity_of(folder)


def test_every_part_is_an_input_of_the_releases_record(bench, made):
    released = made.release(2, 3)
    inputs = {item.role: item for item in bench.records.read(released.record).inputs}
    for part, artifact in manifest_of(bench, released).artifacts().items():
        assert (inputs[part].artifact, inputs[part].record) == (artifact.digest, artifact.record)


def test_a_release_is_registered_and_both_aliases_point_at_it(bench, made):
    first = made.release(2)
    registry = Registry(bench.store)
    assert registry.resolve("math").digest == first.digest
    second = made.release(3)
    assert [entry.digest for entry in registry.versions("teacher.math")] == [
        first.digest,
        second.digest,
    ]
    assert registry.aliases("teacher.math") == {"candidate": 2, "released": 2}
    assert registry.versions("teacher.math")[1].note == "2.1"


def test_releasing_again_changes_nothing(bench, made):
    first = made.release(2)
    moves = Registry(bench.store).moves("teacher.math")
    assert made.release(2) == first
    registry = Registry(bench.store)
    assert len(registry.versions("teacher.math")) == 1
    assert registry.moves("teacher.math") == moves


def test_a_part_that_is_not_in_the_store_is_refused_before_anything_is_registered(bench, made):
    lost = Artifact(kind="dataset", digest="sha256:" + "0" * 64)
    with pytest.raises(LineageError, match=r"part 'evaluation' names sha256:0+, which is not in"):
        made.release(2, evaluation=lost)
    assert Registry(bench.store).names() == []


def test_a_part_of_the_wrong_kind_is_refused(bench, made):
    with pytest.raises(LineageError, match="part 'environment' is a dataset, not a environment"):
        made.release(2, environment=made.part("dataset", "bundle"))
    assert Registry(bench.store).names() == []


def test_content_that_was_recalled_is_not_released_again(bench, made):
    made.release(2)
    Registry(bench.store).recall("teacher.math", 1, by="team", reason="leaked answers")
    with pytest.raises(LineageError, match=r"was recalled by team .*leaked answers"):
        made.release(2)


def test_a_registered_checkpoint_is_handed_on_and_resolved(bench, made):
    assert (
        releasing.register_checkpoint(bench, "fork-point", made.fork_point, "foundation")
        == made.fork_point
    )
    found = releasing.resolve_checkpoint(bench, "fork-point@released")
    assert (found.digest, found.record) == (made.fork_point.digest, made.fork_point.record)


def play_round(bench, plan, start, student, tokens):
    """Write the record of a round from ``start`` to ``student``; return the student."""
    rows = [(2, f"tokens_routed/{domain}", n, "mopd") for domain, n in (tokens or {}).items()]
    teacher = plan.teachers[0].checkpoint
    record, _ = write_record(
        bench.store,
        b"",
        take("student", (start.record, start.digest)),
        take("teacher", (teacher.record, teacher.digest)),
        output=student.digest,
        kind="mopd",
        metrics=rows or None,
        steps=2,
    )
    return student.model_copy(update={"record": record})


def publish(bench, made, *, tokens=None, earlier=None, waivers=(), name="general"):
    """Publish a student of two teachers, whose round, or rounds, have counted these tokens."""
    released = {each: made.release(2, name=each) for each in ("math", "code")}
    plan = Plan(
        artifact=made.part("plan", "plan"),
        fork_point=made.fork_point,
        student=made.fork_point,
        teachers=[
            PlannedTeacher(
                name=domain,
                domain=domain,
                ladder=[],
                reference=f"teacher.{domain}@1",
                owner="team",
                release=release,
                **{
                    part: manifest_of(bench, release).artifacts()[role]
                    for part, role in (
                        ("checkpoint", "checkpoint"),
                        ("environment", "environment"),
                        ("train", "prompts.train"),
                        ("validation", "prompts.validation"),
                        ("evaluation", "evaluation"),
                    )
                },
            )
            for domain, release in released.items()
        ],
        waivers=list(waivers),
    )
    start = plan.student
    for number, counted in enumerate([tokens] if earlier is None else [earlier, tokens]):
        start = play_round(bench, plan, start, made.checkpoint(6 + number), counted)
    student = start
    controls = {"parameter_average": made.checkpoint(8), "task_arithmetic": made.checkpoint(9)}
    card = made.part("scorecard", "card")
    published = releasing.publish_student(bench, plan, student, card, controls, name)
    return published, plan


def test_a_student_names_its_teachers_with_the_tokens_of_its_round(bench, made):
    published, plan = publish(bench, made, tokens={"math": 120, "code": 7})
    manifest = manifest_of(bench, published, Student)
    assert [(t.domain, t.tokens_routed, t.reference) for t in manifest.teachers] == [
        ("math", 120, "teacher.math@1"),
        ("code", 7, "teacher.code@1"),
    ]
    assert [t.release for t in manifest.teachers] == [t.release.digest for t in plan.teachers]
    assert manifest.plan == plan.artifact.digest
    assert manifest.settings == {"kind": "mopd", "seed": 0, "steps": 2}


def test_the_tokens_of_all_rounds_count(bench, made):
    published, _ = publish(bench, made, earlier={"math": 100, "code": 1}, tokens={"math": 20})
    manifest = manifest_of(bench, published, Student)
    assert [share.tokens_routed for share in manifest.teachers] == [120, 1]


def test_a_waiver_stands_in_the_manifest_and_among_the_ancestors(bench, made):
    waiver = made.part("waiver", "accepted by ann")
    published, _ = publish(bench, made, waivers=[waiver])
    assert manifest_of(bench, published, Student).waivers == (waiver.digest,)
    inputs = {item.role: item for item in bench.records.read(published.record).inputs}
    assert (inputs["waiver[0]"].artifact, inputs["waiver[0]"].record) == (
        waiver.digest,
        waiver.record,
    )


def test_a_round_that_counted_nothing_routed_nothing(bench, made):
    manifest = manifest_of(bench, publish(bench, made)[0], Student)
    assert [share.tokens_routed for share in manifest.teachers] == [0, 0]


def test_plan_releases_and_controls_are_inputs_of_the_students_record(bench, made):
    published, plan = publish(bench, made)
    inputs = {item.role: item.artifact for item in bench.records.read(published.record).inputs}
    assert inputs["plan"] == plan.artifact.digest
    for teacher in plan.teachers:
        assert inputs[f"release.{teacher.domain}"] == teacher.release.digest
    assert {"controls.parameter_average", "controls.task_arithmetic"} <= inputs.keys()


def test_a_student_is_registered_under_the_name_that_was_asked_for(bench, made):
    published, _ = publish(bench, made, name="coding-first")
    registry = Registry(bench.store)
    assert registry.resolve("student.coding-first@released").digest == published.digest
    body = json.loads(bench.store.get_bytes(published.digest))
    assert body["owner"] == "consolidation"
