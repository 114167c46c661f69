"""A real vLLM server for the session, and two teams whose climbs it samples."""

import shutil
from contextlib import ExitStack, contextmanager

import pytest

from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.model.files import load_policy
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint
from tasks.sft.steps import make_base
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_faculty import (
    BASE,
    TEAMS,
    climb,
    copy_home,
    home_at,
    importable,
    write_team,
)
from tests.support.vllm_environment import program
from tests.support.vllm_server import VllmProcess
from tests.support.vllm_turns import sampling

PACKAGE = "served_teams"
PLAIN = "SamplingSettings(max_new_tokens=4)"
HEAD_SIZE = 32
"""vLLM's kernels for a CPU have no smaller heads."""


@pytest.fixture(scope="session")
def vllm_program(request):
    folder = request.config.getoption("--vllm")
    found = program(folder)
    return found or pytest.skip(f"no vLLM in {folder}: make test-engines installs it")


@pytest.fixture(scope="session")
def home_with_start(tmp_path_factory, vllm_program, mlflow_database):
    """A home with a fork point that vLLM can serve."""
    folder = tmp_path_factory.mktemp("engines") / "with_start"
    folder.mkdir()
    shutil.copyfile(mlflow_database, folder / "mlflow.db")
    sizes = {"head_size": HEAD_SIZE, "hidden_size": 64, "num_layers": 2}
    base = BASE.model_copy(update={"scratch": BASE.scratch.model_copy(update=sizes)})
    with home_at(folder):
        runner = StepRunner(mirror=MemoryMirror())
        made = make_base(runner, "", [], base, 0)
        register_checkpoint(runner, "fork-point", made, "foundation")
    return folder


@pytest.fixture(scope="session")
def start(home_with_start):
    """The folder of that fork point."""
    with home_at(home_with_start):
        store = open_store()
        return store.tree(Registry(store).resolve("fork-point@released").digest)


@pytest.fixture
def policy(start):
    """A policy of one's own with the weights and the tokenizer of the fork point."""
    return load_policy(start)


@pytest.fixture(scope="session")
def serve(vllm_program, start, tmp_path_factory):
    """Return a context manager that starts a server over the fork point, or over another model."""

    @contextmanager
    def serving(*arguments, model=start, **fields):
        folder = tmp_path_factory.mktemp("vllm")
        with VllmProcess(vllm_program, model, folder, arguments=arguments, **fields) as server:
            yield server

    return serving


@pytest.fixture(scope="session")
def server(serve):
    """The session's server: fp32, as the image starts it. Whoever kills it starts it again."""
    with ExitStack() as stack:
        processed = ("--dtype", "float32", "--logprobs-mode", "processed_logprobs")
        yield stack.enter_context(serve(*processed))


@pytest.fixture
def weights(tmp_path):
    """Return where the weights pass through."""
    return tmp_path / "weights"


@pytest.fixture(scope="session")
def served(server, tmp_path_factory):
    """Settings by which teams and rounds sample with the session's server."""
    return sampling(server, tmp_path_factory.mktemp("shared") / "weights", max_new_tokens=4)


@pytest.fixture(scope="session")
def home_with_served_teachers(home_with_start, served, tmp_path_factory):
    """A home with the teachers of two climbs that the server sampled."""
    root = tmp_path_factory.mktemp("teams")
    home = copy_home(home_with_start, tmp_path_factory.mktemp("homes") / "climbed")
    with importable(root), home_at(home):
        for team in TEAMS:
            climb(_write_served_team(root, team, served))
    return home


def _write_served_team(root, name, settings):
    """Write a team whose climb and whose evaluation use these sampling settings."""
    dotted = write_team(root, name, package=PACKAGE)
    file = root / PACKAGE / name / "settings.py"
    text = file.read_text()
    assert PLAIN in text
    served = f"SamplingSettings.model_validate({settings.model_dump(mode='json')!r})"
    file.write_text(text.replace(PLAIN, served))
    return dotted
