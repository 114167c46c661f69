"""Runs a task as its container would: the command of its serialized template, on local paths."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from flyteidl.core import errors_pb2, literals_pb2
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import LiteralMap
from flytekit.tools.translator import get_serializable

ROOT = Path(__file__).resolve().parents[2]
NO_MLFLOW = "raise ImportError('the pods of tests show nothing in MLflow')\n"
"""A module in MLflow's place, whose import takes as long as such a pod; a pod must not need it."""
IMAGE = Image(name="default", fqn="registry.example.org/provost", tag="test")


def settings():
    """What a registration would give: a project, a domain, a version and an image."""
    images = ImageConfig(default_image=IMAGE, images=[IMAGE])
    return SerializationSettings(
        project="teacher-math", domain="staging", version="v1", image_config=images
    )


def template_of(task):
    """Return the task's serialized template, as Flyte's admin gets it."""
    return get_serializable({}, settings(), task).template.to_flyte_idl()


@dataclass(frozen=True)
class Ended:
    """What a container leaves behind."""

    code: int
    folder: Path
    said: str

    @property
    def error(self):
        """The error that Flyte reads, or None."""
        file = self.folder / "error.pb"
        if not file.exists():
            return None
        return errors_pb2.ErrorDocument.FromString(file.read_bytes()).error

    @property
    def is_recoverable(self):
        """Whether Flyte would try again."""
        return self.error.kind == errors_pb2.ContainerError.RECOVERABLE

    def output(self, task):
        """Return the task's one output as a Python value."""
        document = literals_pb2.LiteralMap.FromString((self.folder / "outputs.pb").read_bytes())
        context = FlyteContextManager.current_context()
        [(name, kind)] = task.python_interface.outputs.items()
        literal = LiteralMap.from_flyte_idl(document).literals[name]
        return TypeEngine.to_python_value(context, literal, kind)


class Container:
    """A task's pod without a pod."""

    def __init__(self, task, folder, inputs, literals=None):
        """Write ``inputs`` (Python values, or ready ``literals``) where the command reads them."""
        self.task, self.folder = task, folder
        folder.mkdir(parents=True)
        (folder / "python").mkdir()
        (folder / "python" / "mlflow.py").write_text(NO_MLFLOW)
        context = FlyteContextManager.current_context()
        kinds = task.python_interface.inputs
        written = literals or TypeEngine.dict_to_literal_map(context, inputs, kinds).to_flyte_idl()
        (folder / "inputs.pb").write_bytes(written.SerializeToString())

    def command(self, attempt):
        """Return the container's command with Flyte's placeholders filled in."""
        places = {
            "{{.input}}": self.folder / "inputs.pb",
            "{{.outputPrefix}}": self.folder / str(attempt),
            "{{.rawOutputDataPrefix}}": self.folder / "raw",
            "{{.checkpointOutputPrefix}}": self.folder / f"checkpoint{attempt}",
            "{{.prevCheckpointPrefix}}": "",
        }
        arguments = [str(places.get(word, word)) for word in template_of(self.task).container.args]
        assert arguments[0] == "pyflyte-execute"
        assert not [word for word in arguments if "{{" in word]
        return [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]]

    def start(self, attempt=0, **environment):
        """Start the command as Flyte does, with its variables."""
        (self.folder / str(attempt)).mkdir()
        store = Path(os.environ["PROVOST_HOME"]) / "store"  # of the namespace's provost-places
        flyte = {
            "FLYTE_INTERNAL_EXECUTION_ID": "f1",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "teacher-math",
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": "staging",
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW": "workflows.teachers.math.workflow.climb",
            "FLYTE_INTERNAL_TASK_PROJECT": "teacher-math",
            "FLYTE_INTERNAL_TASK_DOMAIN": "staging",
            "FLYTE_INTERNAL_TASK_NAME": self.task.name,
            "FLYTE_INTERNAL_TASK_VERSION": "v1",
            "FLYTE_ATTEMPT_NUMBER": str(attempt),
            "PROVOST_STORE": str(store),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "python"), str(ROOT)]),
        }
        return subprocess.Popen(
            self.command(attempt),
            cwd=ROOT,
            env={**os.environ, **flyte, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, process, attempt=0):
        """Wait for the command and return what it left."""
        said, _ = process.communicate(timeout=300)
        return Ended(process.returncode, self.folder / str(attempt), said)

    def run(self, attempt=0, **environment):
        """Run an attempt to its end."""
        return self.ended(self.start(attempt, **environment), attempt)

    def interrupt(self, attempt, when, **environment):
        """Run an attempt whose machine is taken away once it has said ``when``."""
        process = self.start(attempt, **environment)
        said = ""
        for line in process.stdout:
            said += line
            if when in line:
                process.send_signal(signal.SIGTERM)
                break
        rest, _ = process.communicate(timeout=300)
        return Ended(process.returncode, self.folder / str(attempt), said + rest)
