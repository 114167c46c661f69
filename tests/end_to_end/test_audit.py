"""``provost audit`` and ``provost surgery`` on the student that a small main job has left."""

import json

import pytest

from lineage.graph.graph import checkpoint_named
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.attribution.document import Audit
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import ledger_derivation
from tasks.model.files import load_model
from tasks.platform.step_runner import StepRunner
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import TEAMS

ASKED = ("audit", "student@released", "--prompt", "abcd", "--response", "dcba")

REHEARSED = ("surgery", "student@released", "--rehearse")


@pytest.fixture
def audited(student, tmp_path):
    """Return a function that audits the student and returns the document."""

    def audit(*arguments):
        provost(*arguments, "--out", str(tmp_path / "out"))
        return Audit.model_validate_json((tmp_path / "out" / "audit.json").read_text("utf-8"))

    return audit


def weights_of(digest):
    model = load_model(open_store().tree(digest))
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


@pytest.mark.medium
def test_the_parts_add_up_to_what_the_student_says(audited):
    found = audited(*ASKED)
    assert set(found.shares) == {*TEAMS, "decay", "rounding"}
    total = found.begun + sum(share.mean for share in found.shares.values())
    assert total == pytest.approx(found.ended, abs=1e-3)
    [behavior] = found.behaviors
    for part in found.shares:
        by_token = sum(token.parts[part] for token in behavior.tokens)
        by_segment = sum(stretch.parts[part] for stretch in found.course)
        assert by_token == pytest.approx(behavior.parts[part], abs=1e-5)
        assert by_segment == pytest.approx(behavior.parts[part], abs=1e-5)
    assert found.approvals[0] == "the plan was not reviewed: no approval is recorded"
    assert {source.owner for source in found.sources if source.owner} == {
        f"team-{team}" for team in TEAMS
    }


@pytest.mark.medium
def test_an_audit_is_a_signed_record_of_its_own_and_found_again(audited):
    audited(*ASKED)
    registry = Registry(open_store())
    [entry] = registry.versions("audit.general")
    verified = provost("lineage", "verify", "audit.general@1")
    assert "verified" in verified
    assert "audit.general@1: signed by local" in verified  # who answers for the student
    provost(*ASKED)
    assert registry.versions("audit.general") == [entry]


@pytest.mark.slow
def test_retrains_measure_absence(audited):
    found = audited(*ASKED, "--verify", "1").verification
    assert found.seeds == (0,)
    assert [effect.masked for effect in found.effects] == [(team,) for team in TEAMS]
    assert all(set(effect.per_seed) == {0} for effect in found.effects)
    assert all(effect.surgery is not None for effect in found.effects)
    # The unmasked retrain of the student's own seed is the student.
    assert found.reproduction == pytest.approx(0.0, abs=1e-5)
    assert found.noise is None


def test_an_impossible_question_is_refused_before_any_training(student):
    store = open_store()
    before = Records(store).all()
    asked = ("audit", "student@released", "--prompt", "abcd", "--response", "x" * 200)
    assert "shorten" in refusal(*asked, "--verify", "1")
    assert Records(store).all() == before


@pytest.mark.slow
def test_a_student_without_displacements_is_audited_by_replay(teachers, tmp_path):
    from workflows.consolidation.workflow import consolidate

    consolidate(
        teachers=[f"{team}@released" for team in TEAMS],
        mopd_steps=2,
        settings=["gate_prompts_per_domain=0", "ledger_displacements=false"],
    )
    student = "student.general@1"  # a candidate: it has learned nothing
    asked = [student if word == "student@released" else word for word in ASKED]
    told = " ".join(refusal(*asked).split())
    assert "its ledger holds no displacements" in told
    assert "`provost audit STUDENT --replay` computes displacements from the" in told
    provost(*asked, "--replay", "--out", str(tmp_path / "out"))
    found = Audit.model_validate_json((tmp_path / "out" / "audit.json").read_text("utf-8"))
    assert set(found.shares) == {*TEAMS, "decay", "unreplayed"}
    total = found.begun + sum(share.mean for share in found.shares.values())
    assert total == pytest.approx(found.ended, abs=1e-3)
    assert "The split is approximate" in found.approximate
    assert "Names were not tested with a replayed split" in found.verdict.confidence
    assert "cannot be audited" in refusal("surgery", student, "--without", TEAMS[0])


def test_a_whole_student_without_answers_cannot_be_audited(student):
    """Noise never ends a turn; each probe set says how many of its answers could be compared."""
    told = " ".join(refusal("audit", "student@released").split())
    assert "gave no usable behavior" in told
    assert all(f"'{name}': '0 of 0 answers changed" in told for name in (*TEAMS, "neutral"))


def made_by(*command):
    """Return what the end of a run says of what was made."""
    return json.loads(provost(*command, "--json").splitlines()[-1])


def test_a_student_without_all_its_teachers_is_what_it_started_from(student):
    asked = ("surgery", "student@released", "--without", "shout", "--weight", "whisper=0")
    operated = weights_of(made_by(*asked)["digest"])
    store = open_store()
    checkpoint = checkpoint_named(store, "student@released")
    [start] = [
        i for i in StepRunner().records.read(checkpoint.record).inputs if i.role == "student"
    ]
    before, after = weights_of(start.artifact), weights_of(checkpoint.digest)
    for name, tensor in before.items():
        moved = (after[name] - tensor).abs().max()
        assert (operated[name] - tensor).abs().max() <= 1e-4 * moved + 5e-7  # of fp32


def test_a_rehearsal_without_a_teacher_is_a_recorded_student_that_only_others_taught(student):
    told = made_by(*REHEARSED, "--without", "shout")
    checkpoint = checkpoint_named(open_store(), "student@released")
    before, after = weights_of(checkpoint.digest), weights_of(told["digest"])
    assert before.keys() == after.keys()
    assert max(float((after[n] - before[n]).abs().max()) for n in before) > 1e-4
    record = StepRunner().records.read(told["record"])
    assert (record.kind, record.settings["without"]) == ("rehearsal", ["shout"])
    assert checkpoint.digest in {item.artifact for item in record.inputs}
    again = made_by(*REHEARSED, "--without", "shout")
    assert (again["digest"], again["record"]) == (told["digest"], told["record"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("audit", "nobody@released"), "unknown name 'nobody'"),
        (("audit", "shout@released"), "not by multi-teacher distillation"),
        (("audit", "student@released", "--prompt", "abcd"), "give both"),
        ((*ASKED, "--sample", "3"), "give only one of them"),
        ((*ASKED, "--verify", "-1"), "1 or more"),
        ((*ASKED, "--subsets", "1"), "needs a seed"),
        ((*ASKED, "--contrast", "dcba"), "has its own response as contrast"),
        ((*ASKED, "--verify", "1", "--subsets", "1"), "have 0"),
        (("audit", "student@released", "--prompt", "abcd", "--response", "x" * 200), "shorten"),
        (("surgery", "student@released", "--without", "math"), "['shout', 'whisper']"),
        (("surgery", "student@released", "--weight", "shout=1"), "nothing would change"),
        (("surgery", "student@released", "--weight", "shout"), "such as math=0.5"),
        (("surgery", "student@released", "--weight", "shout=nan"), "not finite numbers"),
        ((*REHEARSED, "--without", "math"), "['math'] cannot be left out"),
        (
            (*REHEARSED, "--without", "shout", "--without", "whisper"),
            "are all teachers of this student",
        ),
        ((*REHEARSED, "--weight", "shout=0"), "--without"),
        (REHEARSED, "no teacher is left out"),
    ],
)
def test_an_impossible_question_is_refused_with_the_next_step(student, arguments, words):
    assert words in " ".join(refusal(*arguments).split())


@pytest.mark.parametrize(
    ("lines", "words"),
    [("", "holds no behavior"), ('{"prompt": 3}\n', "line 1"), ("[]\n", "line 1")],
)
def test_a_bad_file_of_behaviors_is_refused_by_line(student, tmp_path, lines, words):
    file = tmp_path / "behaviors.jsonl"
    file.write_text(lines)
    told = refusal("audit", "student@released", "--behaviors", str(file))
    assert words in told
    assert "behaviors.jsonl" in told.replace("\n", "")


def test_a_file_of_behaviors_is_audited_together(audited, tmp_path):
    file = tmp_path / "behaviors.jsonl"
    said = [{"role": "user", "content": "abcd"}]
    rows = [{"prompt": said, "response": text} for text in ("aa", "bb", "cc", "dd", "ee")]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = audited("audit", "student@released", "--behaviors", str(file))
    assert found.count == 5
    share = found.shares["shout"]
    assert share.low <= share.mean <= share.high


def test_without_its_ledger_the_error_names_the_possible_answers(student):
    """The attestation that names the ledger is taken away, as by a store that lost it."""
    runner = StepRunner()
    record = ledger_record(runner).removeprefix("sha256:")
    for key in (student / "store/keys/projects/local/attestations" / record).iterdir():
        key.unlink()
    told = " ".join(refusal(*ASKED).split())
    assert "it has no ledger in this store" in told
    assert all(f"({tier})" in told for tier in (1, 2, 3, 4))
    assert "by replay: not possible" in told


def test_a_ledger_of_other_weights_is_refused(student, monkeypatch):
    """A ledger says of which weights it is; one that was swapped is found out."""
    runner = StepRunner()
    tree = open_store().tree(runner.records.output(ledger_record(runner)).output)
    manifest = Ledger.open(tree).manifest
    other = manifest.model_copy(update={"end": "sha256:" + "0" * 64})
    monkeypatch.setattr(Ledger, "open", classmethod(lambda cls, folder: cls(folder, other)))
    told = " ".join(refusal(*ASKED).split())
    assert "belongs to another student" in told


def ledger_record(runner):
    checkpoint = checkpoint_named(runner.store, "student@released")
    return ledger_derivation(runner.records.read(checkpoint.record)).digest()
