"""Models of every family go the whole way: brought in, climb, consolidation, audit."""

import pytest

from lineage.graph.graph import checkpoint_named
from lineage.store.store import open_store
from tasks.attribution.document import Audit
from tasks.model.files import Policy, load_model, save_policy
from tasks.platform.step_runner import StepRunner
from tasks.release.release import register_checkpoint
from tasks.sft.brought import bring_base
from tests.support.mirrors import MemoryMirror
from tests.support.refusals import provost
from tests.support.tiny_faculty import ORDER, PACKAGE, TEAMS, climb
from tests.support.tiny_models import tokenizer
from tests.support.zoo import MUST_RUN, tiny

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("teams_on_path")]
ASKED = ("audit", "student.general@1", "--prompt", "abcd", "--response", "dcba")
MOST_UNEXPLAINED = {"qwen3-next": 8e-3}
"""Nats between the student's log-probability and the sum of its parts, where not 1e-3. The cause in
Qwen3-Next (3e-3 of 38 nats) is not known; experts that switch along the path are a guess."""


@pytest.mark.parametrize("family", MUST_RUN)
def test_a_family_goes_from_its_folder_to_the_audit(family, home, tmp_path):
    from workflows.consolidation.workflow import consolidate

    model = tiny(family)
    folder = save_policy(Policy(model, tokenizer()), tmp_path / "published")
    runner = StepRunner(mirror=MemoryMirror())
    base = bring_base(runner, str(folder))
    register_checkpoint(runner, "fork-point", base, "foundation")
    for team in TEAMS:
        climb(f"{PACKAGE}.{team}")
    consolidate(**ORDER)
    provost(*ASKED, "--out", str(tmp_path / "out"))
    found = Audit.model_validate_json((tmp_path / "out" / "audit.json").read_text("utf-8"))
    total = found.begun + sum(share.mean for share in found.shares.values())
    assert total == pytest.approx(found.ended, abs=MOST_UNEXPLAINED.get(family, 1e-3))
    assert set(found.shares) >= {*TEAMS}
    student = checkpoint_named(open_store(), "student.general@1")
    saved = load_model(open_store().tree(student.digest))
    assert type(saved) is type(model)
    assert [w.shape for w in saved.parameters()] == [w.shape for w in model.parameters()]
