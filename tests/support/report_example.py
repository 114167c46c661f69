"""A made-up report that looks like a real run. Run this file to write it and look at it.

python tests/evaluate/report_example.py /tmp/report.html
"""

import math
import random
import sys
from pathlib import Path

from tasks.evaluate.report import (
    Provenance,
    ReportInput,
    SampleResponse,
    SampleRollout,
    Speech,
    render_report,
)
from tasks.evaluate.sections import NOT_MEASURED, Making, TeacherRow
from tasks.reports.curves import Curve, CurveGroup
from tests.support.scorecard_example import DOMAINS, example_scorecard

QUESTIONS = {
    "math": ("Compute. Answer with the number alone.", "What is 27 + 58?"),
    "code": ("Write a program in one line.", "Return the larger of a and b, plus 3."),
    "agent": ("Use the calculator. Never compute yourself.", "What is 27 + 58?"),
    "instruct": ("Answer in capital letters, at most 3 words.", "What is 27 + 58?"),
}
GOOD = {
    "math": (("assistant", "85"),),
    "code": (("assistant", "def solve(a, b): return max(a, b) + 3"),),
    "agent": (("assistant", "<call>add(27, 58)</call>"), ("tool", "85"), ("assistant", "85")),
    "instruct": (("assistant", "EIGHTY FIVE"),),
}
BAD = {
    "math": (("assistant", "Let me see: 27 + 58 = 27 + 50 + 8 = 75"),),
    "code": (("assistant", "def solve(a, b): return a if a > b else b"),),
    "agent": (("assistant", "85"),),
    "instruct": (("assistant", "The answer is 85."),),
}

LINEAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 200" width="900" height="200"
 font-family="system-ui" font-size="14" fill="none" stroke="#0067a0">
<path d="M110 100H190M300 100C340 100 340 30 380 30M300 100C340 100 340 170 380 170
M520 30C570 30 570 100 620 100M520 170C570 170 570 100 620 100"/>
<rect x="20" y="82" width="90" height="36"/><rect x="190" y="82" width="110" height="36"/>
<rect x="380" y="12" width="140" height="36"/><rect x="380" y="152" width="140" height="36"/>
<rect x="620" y="82" width="150" height="36"/>
<g fill="#59636e" stroke="none"><text x="40" y="105">base</text>
<text x="208" y="105">fork point</text><text x="394" y="35">teacher.math@1</text>
<text x="394" y="175">teacher.code@1</text>
<text x="636" y="105">student.general@1</text></g></svg>"""


def climb(start: float, end: float, seed: int, steps: int = 150) -> tuple[tuple[float, float], ...]:
    """A noisy curve from start to end."""
    rng = random.Random(seed)
    return tuple(
        (step, max(0.0, end + (start - end) * math.exp(-step / 40) + rng.gauss(0, 0.04)))
        for step in range(steps)
    )


def example_rollout(domain: str, student: str = "") -> SampleRollout:
    """One prompt of a domain, answered three times; ``student`` replaces the student's words."""
    system, question = QUESTIONS[domain]

    def answer(
        turns: tuple[tuple[str, str], ...], score: float, reason: str = ""
    ) -> SampleResponse:
        said = tuple(Speech.model_validate({"role": r, "content": c}) for r, c in turns)
        return SampleResponse(turns=said, score=score, reason=reason)

    good = (("assistant", student),) if student else GOOD[domain]
    return SampleRollout(
        domain=domain,
        messages=(
            Speech(role="system", content=system),
            Speech(role="user", content=question),
        ),
        responses={
            "fork_point": answer(BAD[domain], 0.0, "wrong answer"),
            "teacher": answer(GOOD[domain], 1.0),
            "student": answer(good, 1.0),
        },
    )


def example_report(**changes: object) -> ReportInput:
    """The whole example; ``changes`` replaces fields."""
    fields = {
        "created": "21 November 2026",
        "scorecard": example_scorecard(),
        "curves": (
            CurveGroup(
                title="Reward of each climb", unit="mean score of the step's rollouts", high=1.0,
                curves=tuple(
                    Curve(name=d, points=climb(0.4, 0.9, i)) for i, d in enumerate(DOMAINS)
                ),
            ),
            CurveGroup(
                title="Distance to each teacher during MOPD", unit="reverse KL, nats per token",
                curves=tuple(
                    Curve(name=f"{d} teacher", points=climb(0.5, 0.06, 9 + i, 300))
                    for i, d in enumerate(DOMAINS)
                ),
            ),
        ),
        "rollouts": tuple(example_rollout(domain) for domain in DOMAINS for _ in range(2)),
        "lineage": LINEAGE,
        "provenance": Provenance(
            records={
                name: "sha256:" + f"{index:x}" * 64
                for index, name in enumerate(("base", "fork point", "student.general@1"))
            },
            commit="0123456789abcdef0123456789abcdef01234567", dirty=True,
            seeds={"foundation": 0, "teams": 0, "evaluation": 0},
            machine={"processor": "2 cores", "memory": "3.1 GiB at most", "time": "13 min 20 s"},
            not_run=("GPU paths: no GPU was at hand.", "Mix-RL and Cascade RL: not requested."),
        ),
        "making": Making(
            teachers=tuple(
                TeacherRow(
                    reference=f"teacher.{domain}@{1 + i}", domain=domain, owner=f"team-{domain}",
                    tokens=40_000 * (1 + i), share=0.1 * (1 + i), verdict=verdict,
                )
                for i, (domain, verdict) in enumerate(
                    zip(DOMAINS, ("fits, 97% of its gain expected", NOT_MEASURED) * 2, strict=True)
                )
            ),
            settings={"loop.num_steps": "120", "divergence": "full_vocabulary", "seed": "0"},
            facts={"time of the round": "1m 05s", "weights": "sha256:" + "c" * 64},
        ),
    }  # fmt: skip
    return ReportInput.model_validate({**fields, **changes})


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_report(example_report()), encoding="utf-8")
