"""MLflow as people meet it: on PostgreSQL, behind a proxy under another name, in a browser.

200 runs, one of them with 10,000 values. From a student's page a person follows the links.
"""

import html
import os
import re
import subprocess
import sys
from urllib.request import urlopen

import pytest
import yaml

from lineage import mirror
from lineage.mirror import connection
from lineage.records.record import Records
from lineage.store.store import FolderStore
from tests.support.consolidated import COMMIT, Consolidated
from tests.support.making import runs, write_record
from tests.support.manifests import INFRA
from tests.support.mlflow_server import HOST, mlflow_server, proxy
from tests.support.postgres import postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
RUNS, VALUES = 200, 10_000
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --virtual-time-budget=30000 "
    "--window-size=1500,1400 --dump-dom"
).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def database():
    with postgres() as found:
        environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": found}
        tables = [sys.executable, "-m", "lineage.mirror.tables"]
        subprocess.run(tables, env=environment, check=True, capture_output=True)
        yield found


@pytest.fixture(scope="module")
def port(folder, database):
    """The port of a proxy before a server that is set up as in infra/mlflow."""
    login = yaml.safe_load((INFRA / "mlflow" / "login.yaml").read_text("utf-8"))["data"]
    public = login["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].replace("https://", "http://")
    assert public == f"http://{HOST}"
    settings = {
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST},127.0.0.1:*",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": public,
    }
    with mlflow_server(database, folder, **settings) as address, proxy(address) as found:
        yield found


@pytest.fixture(scope="module")
def consolidated(folder, port):
    """A consolidation that is shown through the proxy."""
    made = Consolidated(FolderStore(folder / "store"), folder / "report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVOST_HOME", str(folder))
        assert mirror.reindex(made.store, f"http://127.0.0.1:{port}").problems == ()
    return made


@pytest.fixture(scope="module")
def made(consolidated, database, folder):
    """The same among 200 runs, written into the database itself: HTTP would take minutes."""
    store = consolidated.store
    values = [(step, "loss", 1.0 / (step + 1), "sft") for step in range(VALUES)]
    consolidated.long = write_record(store, b"long", kind="sft", metrics=values)
    for number in range(RUNS - len(Records(store).all())):
        data = b"%d" % number
        write_record(store, data, kind="evaluation", output_kind="measurement", n=number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVOST_HOME", str(folder))
        done = mirror.reindex(store, database)
    assert (done.records, done.repaired, done.problems) == (RUNS, (), ())
    yield consolidated
    connection.client_of(database)._tracking_client.store.engine.dispose()


def test_the_server_answers(port):
    """Alone, so that its start has a time limit of its own."""
    with urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as answer:
        assert answer.status == 200


def test_a_consolidation_comes_through_the_proxy(consolidated, port):
    client = connection.client_of(f"http://127.0.0.1:{port}")
    assert client.get_model_version_by_alias("student.general", "released").version


@pytest.fixture
def look(chromium, folder, port):
    """Open a page in a browser that knows the proxy by its public name; return what it shows.

    A page that draws late, on a busy machine, is opened again until it shows ``wanted``.
    """

    def open_page(fragment, wanted=""):
        pages = (dump(fragment) for _ in range(3))
        return next((page for page in pages if wanted in page), "")

    def dump(fragment):
        command = [
            chromium,
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            f"--host-resolver-rules=MAP {HOST} 127.0.0.1:{port}",
            f"http://{HOST}/{fragment}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return html.unescape(done.stdout)

    return open_page


def link(page, text, place=""):
    """Return the address that a link with this text leads to, one with ``place`` in it."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(?:<[^>]*>)*([^<]*)<', page)
    addresses = [address for address, shown in found if shown.strip() == text and place in address]
    assert addresses, f"no link {text!r} among {sorted({shown for _, shown in found})}"
    return "#" + addresses[0].partition("#")[2]


def test_a_person_walks_from_a_student_to_all_that_it_is_made_of(made, look):
    student = look(link(look("#/models"), "student.general"))
    student = look(link(student, "Version 1"))
    assert COMMIT[:12] in student
    teacher = look(link(student, "teacher.math@1"))
    assert "Teacher of math" in teacher
    data = look(link(teacher, "demonstrations"))
    assert made.teams["math"]["data"][1][:20] in data
    plan = look(link(student, "plan"))
    assert made.plan[1][:20] in plan
    base = look(link(student, "base and fork point"))
    assert made.base[1][:20] in base
    training = look(link(student, "training"))
    assert "mopd/reward" in training
    assert "Finished" in training


def test_a_person_finds_the_steps_of_a_consolidation_and_its_scores(made, look):
    trained = f"mopd-{made.mopd[1][7:19]}"
    student = look("#/models/student.general/versions/1")
    checkpoint = look(link(student, trained, "/models/m-"))
    for shown in ("evaluation/score/math", "Datasets used", "teacher.math@1", "v1", "seed"):
        assert shown in checkpoint
    training = look(link(checkpoint, trained, "/runs/"))
    assert COMMIT[:7] in training
    consolidation = look(link(training, f"consolidation-{made.plan[1][7:19]}"))
    assert link(consolidation, f"report-{made.report[1][7:19]}")
    assert link(consolidation, f"student-{made.student[1][7:19]}")
    measured = look(link(consolidation, f"evaluation-math-of-{trained}"))
    assert "evaluation/score/math" in measured
    assert made.prompts["math"][1][7:27] in measured


def test_the_pages_hold_200_runs_and_10_000_values(made, look, port):
    client = connection.client_of(f"http://127.0.0.1:{port}")
    assert len(runs(client)) == RUNS
    experiment = client.get_experiment_by_name("evaluation").experiment_id
    listed = look(f"#/experiments/{experiment}/runs")
    found = re.search(r"(\d+) matching runs", re.sub(r"<[^>]*>", "", listed))
    assert found
    assert int(found[1]) >= 100  # more of them at the press of a button
    [run] = [run for run in runs(client) if run.data.tags["provost.record"] == made.long[0]]
    assert len(client.get_metric_history(run.info.run_id, "sft/loss")) == VALUES
    page = look(
        f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/model-metrics", "sft/loss"
    )
    assert page
