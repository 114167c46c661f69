"""One example of each page. ``python -m tests.support.page_examples`` writes the snapshots."""

from pathlib import Path

from lineage.artifacts import Artifact
from lineage.compatibility.checks import Finding
from lineage.records.derivation import Sample
from tasks.attribution.page import render
from tasks.contracts.handover import MeasuredRung, Remedy, TeacherVerdict, Verdict
from tasks.contracts.remedies import RemedyOutcome
from tasks.evaluate.compare import comparison_page
from tasks.evaluate.consider import Considered, Unmet
from tasks.evaluate.report import render_report
from tasks.gate.measured import (
    Ancestry,
    Displacement,
    ProbeResult,
    ProbeSettings,
    RungReading,
    WorstToken,
)
from tasks.gate.page import gate_page, unmeasured_page
from tasks.gate.past_outcomes import PastOutcome, outcomes_page
from tasks.gate.plan_page import plan_page
from tasks.gate.refork import Refork, Requested
from tasks.gate.remedied import remedies_page
from tasks.gate.verdict import Judged
from tasks.mopd.training_page import rounds_page
from tasks.reports.curves import measured_page
from tests.evaluate.test_compare import comparison
from tests.gate.test_plan_page import COST, RELEASE, plan_of
from tests.support.audits import example_audit, group
from tests.support.measures import measured
from tests.support.page_outline import outline
from tests.support.report_example import example_report, example_rollout

SNAPSHOTS = Path(__file__).resolve().parents[1] / "reports" / "snapshots"
DIGEST = "sha256:" + "e" * 64
HOSTILE = '<img src=x onerror="alert(1)">\N{RIGHT-TO-LEFT OVERRIDE}'


def note(code, severity="warning", subject="teacher.math@3"):
    """Return a finding whose texts hold markup and a character that turns the direction."""
    return Finding(
        code=code, severity=severity, subject=subject, evidence=f"{HOSTILE} is in it",
        next_step="release it again",
    )  # fmt: skip


def example_gate():
    """Return the gate's page of two teachers: one fits, one is refused and has a ladder."""
    token = WorstToken(
        before="12+", token="", after="=46", kl=1.5, teacher_log_prob=-0.25, student_log_prob=-3.5
    )
    reading = {"worst": (token,), "kl": 0.4}
    ancestry = Ancestry(
        declared="sft", distance=0.1, projection=0.75, nearest="sft", nearest_distance=0.1,
        contradicted=False,
    )  # fmt: skip
    rungs = (RungReading(step=20, kl=0.1), RungReading(step=40, kl=float("nan")))
    shift = Displacement(relative=0.02, cosines={"code": 0.5})
    math = measured(reading, displacement=shift, ancestry=ancestry, ladder=rungs)
    code = measured(swap=None).model_copy(update={"name": "code", "domain": "code"})
    verdicts = [
        TeacherVerdict(
            name="math", domain="math", verdict=Verdict.FITS_AFTER_REMEDY, proposed=Remedy.WARM_UP,
            done=Remedy.WARM_UP, ladder=[MeasuredRung(step=20, kl=0.1)],
        ),
        TeacherVerdict(name="code", domain="code", verdict=Verdict.FITS),
    ]  # fmt: skip
    reasons = (note("other-words", "refusal"), note("swapped-path"))
    judged = {
        "math": Judged(
            name="math", verdict=Verdict.FITS_AFTER_REMEDY, reasons=reasons, remedy=Remedy.WARM_UP,
        ),
        "code": Judged(
            name="code", verdict=Verdict.FITS, reasons=(), remedy=Remedy.NONE
        ),
    }  # fmt: skip
    probe = ProbeResult(settings=ProbeSettings(ladder_stages=2), teachers=(math, code), seconds=1.0)
    return gate_page(plan_of(), probe, judged, verdicts, {"math": request()})


def request():
    """Return a request to climb again."""
    refork = Refork(
        teacher="teacher.math@3", domain="math", owner="team-math", reasons=["r"], team="math",
        launch_plan="workflows.teachers.math.workflow.climb", inputs={"fork_point": "fork@1"},
        trained=[],
    )  # fmt: skip
    return Requested(refork=refork, stored=Artifact(kind="request", digest=DIGEST, record=DIGEST))


def past():
    """Return what came of a teacher in an earlier merge."""
    return PastOutcome(
        teacher="teacher.math@3", record=DIGEST, verdict=Verdict.FITS, done=Remedy.NONE, actual=0.8,
    )  # fmt: skip


def new_domain_gate():
    """Return the gate's page of a teacher of which nothing can be predicted."""
    found = measured(swap=None)
    unknown = Judged(
        name="math", verdict=Verdict.UNKNOWN, remedy=Remedy.WARM_UP,
        reasons=(note("gate-unknown", "refusal"),),
    )  # fmt: skip
    verdict = TeacherVerdict(
        name="math", domain="math", verdict=Verdict.UNKNOWN, proposed=Remedy.WARM_UP,
    )  # fmt: skip
    probe = ProbeResult(settings=ProbeSettings(), teachers=(found,), seconds=1.0)
    return gate_page(plan_of(), probe, {"math": unknown}, [verdict], {})


def remedied(name, share):
    """Return what a remedy brought: a share of a gain of 0.8, or None for no gain."""
    after = 0.0 if share is None else 0.8 * share
    return RemedyOutcome(
        name=name, domain=name, done=Remedy.WARM_UP, prompts=64, start=0.0, student=after,
        teacher=0.8, share=share, low=share and share - 0.125, high=share and share + 0.125,
        verdict=Verdict.FITS_AFTER_REMEDY if share else Verdict.DOES_NOT_FIT,
    )  # fmt: skip


def samples(*names):
    """Return metrics of two steps."""
    return [Sample(step, name, step / 4, "mopd") for step in (1, 2) for name in names]


def pages():
    """Return every page by the name of its snapshot."""
    sets = (
        group("math", "math", math=(3.0, 2.0, 4.0), code=0.0),
        group("neutral", "", math=0.0, code=(2.0, 1.0, 3.0)),
    )
    rollouts = (example_rollout("math", student=HOSTILE), example_rollout("code"))
    findings = (note("other-template", "refusal"), note("overlap"))
    return {
        "audit": render(example_audit()),
        "audit_of_sets": render(
            example_audit(groups=sets, verification=None, approximate="approximate", waivers=())
        ),
        "comparison": comparison_page(comparison()),
        "gate": example_gate(),
        "gate_that_fits": gate_page(
            plan_of(), ProbeResult(settings=ProbeSettings(), teachers=(measured(),), seconds=1.0),
            {"math": Judged(name="math", verdict=Verdict.FITS, reasons=(),
                            remedy=Remedy.NONE)},
            [TeacherVerdict(name="math", domain="math", verdict=Verdict.FITS)], {},
        ),
        "gate_of_a_new_domain": new_domain_gate(),
        "outcomes": outcomes_page([past()]),
        "outcomes_of_nothing": outcomes_page([]),
        "gate_unmeasured": unmeasured_page(plan_of()),
        "plan": plan_page(plan_of(*findings), COST, RELEASE),
        "plan_that_fits": plan_page(plan_of(), COST, RELEASE),
        "remedies": remedies_page([remedied("math", 0.75), remedied("code", None)]),
        "release": Considered("student.general@3", (Unmet("score", HOSTILE),)).page(),
        "scorecard": render_report(example_report(rollouts=rollouts)),
        "training": measured_page("math sft", [samples("loss", "kl/math"), []]),
        "training_of_nothing": measured_page("math sft", []),
        "training_of_rounds": rounds_page([samples("kl/math", "reward/math"), []]),
    }  # fmt: skip


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    for name, page in pages().items():
        (SNAPSHOTS / f"{name}.txt").write_text(outline(page), "utf-8")
