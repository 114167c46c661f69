"""An audit made by hand, for tests of its page and its words."""

from tasks.attribution.document import (
    Audit,
    AuditVerdict,
    BehaviorShare,
    CarriedWaiver,
    GroupShare,
    Influence,
    RetrainEffect,
    RetrainResult,
    SegmentShare,
    ShareEstimate,
    Source,
    TokenShare,
    WeightsChange,
    Witness,
)

DIGEST = "sha256:" + "ab" * 32


SOURCES = (
    Source(
        name="math",
        domain="math",
        reference="teacher.math@3",
        owner="team-math",
        record=DIGEST,
    ),
    Source(name="code", domain="code", owner="team-code", record=DIGEST),
    Source(name="decay"),
    Source(name="rounding"),
)


def group(domain, owner, count=6, taught=None, **parts):
    """Return a set of behaviors; a part is a mean, or (mean, low, high); so is what is taught."""
    return GroupShare(
        domain=domain,
        count=count,
        owner=owner,
        start=-4.0,
        end=-1.0,
        parts={name: estimate(value) for name, value in parts.items()},
        taught={name: estimate(value) for name, value in (taught or parts).items()},
    )


def estimate(value):
    if isinstance(value, tuple):
        return ShareEstimate(mean=value[0], low=value[1], high=value[2])
    return ShareEstimate(mean=value)


def example_verification():
    return RetrainResult(
        seeds=(0, 1),
        effects=(
            RetrainEffect(
                masked=("math",),
                effect=ShareEstimate(mean=1.5, low=-1.0, high=4.0),
                per_seed={0: 1.3, 1: 1.7},
                by_domain={"math": 1.5, "neutral": -0.25},
                surgery=2.0,
            ),
        ),
        noise=0.3,
        reproduction=0.0,
    )


WEIGHTS = WeightsChange(
    change=2.5,
    parts={"math": 1.5, "code": 0.75, "decay": 0.0, "rounding": 3.1e-4},
    predicted_rounding=3e-4,
    unexplained=1e-12,
)

INFLUENCE = Influence(
    teacher="math",
    step=3,
    domain="math",
    prompt="math-12+34",
    score=1.0,
    influence=0.25,
    asked="12+34=",
    answered="46",
)


def example_audit(**changes):
    parts = {"math": 2.5, "code": -0.5, "decay": 0.0, "rounding": 0.0}
    tokens = tuple(
        TokenShare(text=text, start=-2.0, end=-1.0, parts={**parts, "math": nats})
        for text, nats in (("4", 2.0), ("6", -1.0), ("<|end|>", 0.1))
    )
    known = Audit(
        student="student@released",
        start="the fork point",
        created="2026-01-01T00:00:00",
        inputs={"student": DIGEST, "ledger": DIGEST},
        sources=SOURCES,
        count=1,
        begun=-4.0,
        ended=-2.0,
        shares={name: ShareEstimate(mean=value) for name, value in parts.items()},
        residual=0.0005,
        weights=WEIGHTS,
        behaviors=(
            BehaviorShare(
                name="sum",
                domain="math",
                prompt="user: 12+34=",
                response="46",
                contrast=None,
                start=-4.0,
                end=-2.0,
                parts=parts,
                taught={"math": 3.0, "code": -1.0},
                residual=0.0005,
                named="math",
                tokens=tokens,
            ),
        ),
        course=(
            SegmentShare(first_step=1, last_step=10, parts={**parts, "math": 1.0, "code": 0.0}),
            SegmentShare(first_step=11, last_step=20, parts={**parts, "math": 1.5}),
        ),
        groups=(group("math", "math", **parts),),
        witnesses=(Witness(name="surgery", parts={"math": 2.0, "code": 0.1}, named="math"),),
        influences=(INFLUENCE,),
        searched="40 of math in steps 1 to 10",
        verification=example_verification(),
        verdict=AuditVerdict(named="math", sentence="Math did it.", confidence="quite."),
        approvals=("math: overlap (warning, sft_overlap)",),
        waivers=(CarriedWaiver(digest=DIGEST, text="by: ann\nreason: urgent"),),
        drawn={},
        not_tested=("Absence.",),
    )
    return known.model_copy(update=changes)
