"""A climb that is killed at any moment: a rerun ends with the same teacher, and nothing is half."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from lineage.mirror import connection, showing
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.scratch import remove
from lineage.store.store import open_store
from tasks.model.identity import identity_of
from tests.support.tiny_faculty import PACKAGE, climb, copy_home

pytestmark = pytest.mark.slow

KILLS = 8


def run(said):
    """Climb, and say so; the parent's connections are not this process's to use."""
    connection.client_of.cache_clear()
    showing.mirror_of.cache_clear()
    said.send(climb(f"{PACKAGE}.shout").digest)


class Child:
    """A climb in a fork of this process, where everything is imported already."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self._hears, says = context.Pipe(duplex=False)
        self._process = context.Process(target=run, args=(says,))
        self._process.start()
        says.close()

    def finish(self):
        """Return the digest of its release."""
        digest = self._hears.recv()
        self._process.join()
        self._hears.close()
        return digest

    def kill_after(self, seconds):
        time.sleep(seconds)
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._hears.close()


def check_nothing_half(store):
    """Read everything that is visible: each record has outputs, each blob its digest."""
    records = Records(store)
    for digest in records.all():
        records.read(digest)
        attested = records.attestations(digest)
        # a record is claimed before its attestation: one without is as good as none
        if attested:
            assert records.output(digest) is not None
    for digest in store.blobs.digests():
        store.check(digest)
    for name in Registry(store).names():
        Registry(store).versions(name)


def test_a_killed_climb_is_finished_by_the_next_with_the_same_teacher(
    home, home_with_fork_point, teams_on_path
):
    copy_home(home_with_fork_point, home)
    began = time.monotonic()
    expected = Child().finish()
    seconds = time.monotonic() - began
    want, made = checkpoints(open_store()), Records(open_store()).all()

    remove(home)  # the same place: a release names the address of its store
    copy_home(home_with_fork_point, home)
    chance, progress = random.Random(20261121), []
    # The early ones first: a late one would leave little to kill for the others.
    for share in sorted(chance.uniform(0.02, 0.8) for _ in range(KILLS)):
        Child().kill_after(share * seconds)
        check_nothing_half(open_store())
        progress.append(len(Records(open_store()).all()))
    assert progress == sorted(progress), "what was finished is lost"
    assert len(set(progress)) > 1, "the kills all came at the same moment"

    assert Child().finish() == expected
    store = open_store()
    assert checkpoints(store) == want
    assert Records(store).all() == made
    check_nothing_half(store)
    assert len(Registry(store).versions("teacher.shout")) == 1
    record = Registry(store).resolve("shout@candidate").record
    assert Verifier(store, identity_of).verify(record).problems == []
    assert len(list((home / "store" / "unfinished").iterdir())) <= 2  # this process's own


def checkpoints(store):
    """Return the output of each record that trains, by record."""
    records = Records(store)
    trained = [d for d in records.all() if records.read(d).kind in {"sft", "rung", "rl"}]
    return {digest: records.output(digest).output for digest in trained}
