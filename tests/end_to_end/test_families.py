"""Models of every family go the whole way: brought in, climb, consolidation, audit."""

import pytest

from lineage.graph.graph import checkpoint_named
from lineage.store.store import open_store
from tasks.attribution.behavior import Behavior, Said, encode
from tasks.attribution.document import Audit
from tasks.attribution.opened import open_models
from tasks.attribution.path_integral import allocate
from tasks.attribution.subject import find_subject
from tasks.attribution.trajectory import Scorer, walker
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, save_policy
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tasks.sft.brought import bring_base
from tests.support.mirrors import MemoryMirror
from tests.support.refusals import provost
from tests.support.tiny_faculty import ORDER, PACKAGE, TEAMS, climb
from tests.support.tiny_models import tokenizer
from tests.support.zoo import MUST_RUN, tiny

# Of the default suite, model/test_families, onpolicy/test_adapters_of_families and rollout/
# test_ways_in_bf16 run the code that knows families, and test_foundation_from_a_model the way.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("teams_on_path")]
STUDENT = "student.general@1"
ASKED = ("audit", STUDENT, "--prompt", "abcd", "--response", "dcba")
BEHAVIOR = Behavior(prompt=(Said(role="user", content="abcd"),), response="dcba")


def unexplained(runner, tolerance):
    """Return what the parts leave of the change, in nats, integrated to this tolerance."""
    subject = find_subject(runner, STUDENT)
    models = open_models(runner, subject)
    encoded = encode([BEHAVIOR], ChatTokens(models.policy.tokenizer), None)
    scorer = Scorer(models.policy.model, encoded.tokens)
    found = allocate(scorer, encoded, walker(subject.ledger, models.start)(), tolerance)
    parts = sum(float(found.behaviors(part)) for part in found.parts)
    return float(encoded.total(found.end_N - found.start_N)) - parts


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
    sizes = sum(abs(share.mean) for share in found.shares.values())
    assert total == pytest.approx(found.ended, abs=3e-3 * sizes + 1e-4)  # what an audit promises
    assert abs(unexplained(runner, tolerance=1e-5)) < 2e-4  # and what fp32 can hold
    assert set(found.shares) >= {*TEAMS}
    student = checkpoint_named(open_store(), STUDENT)
    saved = load_model(open_store().tree(student.digest))
    assert type(saved) is type(model)
    assert [w.shape for w in saved.parameters()] == [w.shape for w in model.parameters()]
