"""What Flyte's console shows first of an audit."""

from lineage.artifacts import Artifact
from lineage.view.summary import text_of
from tasks.attribution.document import summary_of_audit
from tests.support.audits import DIGEST, example_audit


def test_the_verdict_comes_first_and_each_share_after_it():
    found = example_audit()
    lines = text_of(summary_of_audit(found, Artifact(kind="audit", digest=DIGEST))).splitlines()
    assert lines[0].startswith(f"{found.student}: {found.verdict.sentence}")
    assert found.verdict.confidence in lines[0]
    told = {line.partition(":")[0] for line in lines[1:]}
    assert found.shares.keys() <= told
    assert lines[-1] == f"digest: {DIGEST}"
