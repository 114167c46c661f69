"""A consolidation that fails leaves a record of it, its Decks, and a lineage that still holds."""

import html
import json
import threading
from pathlib import Path

import pytest
from flytekit.core.context_manager import FlyteContextManager

from lineage.artifacts import Release, read_manifest
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.model.identity import identity_of
from tests.support.refusals import provost, refusal
from tests.support.tiny_faculty import Contents, kinds

ORDER = ("run", "consolidation", "--preset", "smoke", "--teachers", "shout@1,whisper@1")


def decks():
    """Return the pages of every Deck that this process has published so far, newest last."""
    folder = Path(FlyteContextManager.current_context().file_access.local_sandbox_dir)
    files = sorted(folder.rglob("deck.html"), key=lambda file: file.stat().st_mtime_ns)
    return [html.unescape(file.read_text("utf-8")) for file in files]


@pytest.fixture
def broken(teachers):
    """A teacher whose validation set is damaged once the student is trained, before its controls.

    MOPD reads the set before it trains, so a set that is damaged earlier costs no training.
    """
    store = open_store()
    release = read_manifest(store, Registry(store).resolve("shout@1").digest, Release)
    path = store.blobs.path(release.prompts.validation.digest)
    over = threading.Event()

    def damage():
        while not trained(store):
            if over.wait(0.005):
                return
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1])

    thread = threading.Thread(target=damage)
    thread.start()
    yield store
    over.set()
    thread.join()


def trained(store):
    records = Records(store)
    return [digest for digest in records.all() if records.read(digest).kind == "mopd"]


def failures(store):
    records = Records(store)
    return [digest for digest in records.all() if records.read(digest).kind == "failure"]


@pytest.mark.slow
def test_a_failure_after_training_says_why_and_what_a_rerun_finds(broken):
    before, seen = Contents.now().records, len(decks())
    assert "no longer has the digest" in refusal(*ORDER)
    made = kinds(Contents.now().records - before)
    assert (made["mopd"], made["failure"]) == (1, 1)
    assert "student" not in made
    records = Records(broken)
    [digest] = failures(broken)
    [plan] = records.read(digest).inputs
    assert records.read(plan.record).kind == "plan"
    [attested] = records.attestations(digest)
    told = json.loads(broken.get_bytes(attested.output))
    assert "no longer has the digest" in told["error"]
    assert told["publish_as"] == "smoke"
    made = attested.notes["made"]
    found = [item["kind"] for item in made]
    assert found.count("mopd") == found.count("ledger") == 1
    assert {item["record"] for item in made} <= set(records.all())
    pages = "".join(decks()[seen:])
    assert "plan of a consolidation" in pages
    assert "Reverse KL from the student to each teacher" in pages
    refusal(*ORDER)
    assert failures(broken) == [digest]
    assert len(records.attestations(digest)) == 2
    [student] = trained(broken)
    assert Verifier(broken, identity_of).verify(student).passed


def test_the_plan_is_shown_where_it_is_refused(teachers):
    seen = len(decks())
    recall = ("teacher", "recall", "shout@1", "--reason", "<b>leak</b>", "--by", "team", "--yes")
    provost(*recall)
    refusal(*ORDER)
    [page] = decks()[seen:]
    assert "recalled-input" in page
    assert "<b>leak" not in page
