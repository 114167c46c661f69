"""Machines that do not confine: nothing of a team runs there unless the settings allow it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.rollout.worker import client
from tasks.rollout.worker.limits import Confinement, ConfinementError
from tests.support.bundles import write_bundle

RUN = """
import json, sys
from pathlib import Path
from tests.support.bundles import episodes
from tests.support.lesser_kernel import lack
from tasks.rollout.worker.limits import ConfinementError
from tasks.rollout.worker.client import EnvironmentWorker

folder, allow, *parts = sys.argv[1:]
lack(*parts)
try:
    with EnvironmentWorker(Path(folder), allow_unconfined=bool(allow)) as worker:
        said = worker.max_turns if allow == "turns" else worker.respond(episodes("a"))[0]
        print(json.dumps([vars(worker.confinement), said]))
except ConfinementError as error:
    print(json.dumps([{}, str(error)]))
"""
ALL = {"network_cut": True, "files_hidden": True, "processes_private": True}


def run(folder, allow, *parts):
    """Return the confinement and the answer of a bundle on a kernel without these parts."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), allow, *parts],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def bundle(tmp_path):
    """Return a bundle that leaves a mark as soon as any of it runs, where it can."""
    top = f"""
    import os
    from pathlib import Path
    try:
        Path({str(tmp_path / "ran")!r}).touch()
    except OSError:
        pass
    """
    return write_bundle(tmp_path / "team", top=top, respond="return 'here'")


@pytest.mark.parametrize("parts", [("landlock",), ("filter",), ("namespaces", "filter")])
def test_nothing_runs_where_files_or_network_are_open(tmp_path, bundle, parts):
    confinement, message = run(bundle, "", *parts)
    assert confinement == {}
    assert "provost doctor" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("parts", "open_to"),
    [
        (("landlock",), {"files_hidden"}),
        (("filter",), {"network_cut", "files_hidden"}),
        (("namespaces", "filter"), set(ALL)),
        (("namespaces", "filter", "landlock"), set(ALL)),
    ],
)
def test_what_is_allowed_runs_and_says_what_it_runs_without(bundle, parts, open_to):
    lacking = {name for name, holds in run(bundle, "allow")[0].items() if not holds}
    assert lacking <= {"processes_private"}  # an ordinary user may have no namespaces
    confinement, reply = run(bundle, "allow", *parts)
    assert reply == "here"
    assert {name for name, holds in confinement.items() if not holds} == open_to | lacking


def test_without_namespaces_it_runs_where_files_are_hidden_and_the_network_is_cut(bundle):
    confinement, reply = run(bundle, "", "namespaces")
    assert reply == "here"
    assert confinement == ALL | {"processes_private": False}


def test_a_bundle_cannot_vouch_for_its_own_confinement(tmp_path):
    # It answers before Provost's code can, and says that everything holds.
    said = json.dumps({"max_turns": 2, **ALL}).encode() + b"\n"
    top = f"""
    import os, time
    for handle in range(3, 32):
        try:
            os.write(handle, {said!r})
        except OSError:
            pass
    time.sleep(600)
    """
    folder = write_bundle(tmp_path / "team", top=top)
    confinement, turns = run(folder, "turns", "namespaces", "filter", "landlock")
    assert (confinement, turns) == (dict.fromkeys(ALL, False), 2)


@pytest.mark.parametrize(
    ("confinement", "openings"),
    [
        (Confinement(network_cut=True, files_hidden=True), []),
        (Confinement(files_hidden=True, processes_private=True), ["the network"]),
        (Confinement(network_cut=True, processes_private=True), ["this machine's files"]),
    ],
)
def test_private_processes_are_not_needed_and_the_rest_is(confinement, openings):
    assert confinement.openings == openings


def test_a_process_that_ends_before_its_confinement_is_not_the_domains_fault(tmp_path, monkeypatch):
    broken = {**client.importable_modules(), "tasks": str(tmp_path / "gone" / "__init__.py")}
    monkeypatch.setattr(client, "importable_modules", lambda _site: broken)
    with pytest.raises(ConfinementError, match="No such file"):
        client.EnvironmentWorker(write_bundle(Path(tmp_path, "team"))).__enter__()
