"""The command ``provost``. Only click is imported before a command is known."""

import atexit
import importlib
import shutil
import sys
from collections.abc import Mapping

import click

from lineage.errors import LineageError, paragraph
from workflows.commands.output import show_trace

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("workflows.commands.demo:demo", "Run the main job end to end, or resume it."),
    "run": (
        "workflows.commands.run:run",
        "Run a workflow: foundation, teacher, consolidation or recipe.",
    ),
    "recipe": (
        "workflows.commands.recipe:recipe",
        "List and compare published post-training systems.",
    ),
    "register": (
        "workflows.commands.register:register",
        "Register a team, the foundation or the consolidation in Flyte.",
    ),
    "runs": (
        "workflows.commands.runs:runs",
        "List running and failed executions in Flyte, with their records.",
    ),
    "approve": (
        "workflows.commands.approve:approve",
        "Approve or reject a plan that is waiting in Flyte.",
    ),
    "checkpoint": (
        "workflows.commands.checkpoint:checkpoint",
        "Register a model of your own as base or fork point.",
    ),
    "teacher": (
        "workflows.commands.teacher:teacher",
        "Create a team or a key; list, retire or recall teachers.",
    ),
    "gate": ("workflows.commands.gate:gate", "Measure whether teachers fit a student."),
    "audit": (
        "workflows.commands.audit:audit",
        "Find the teachers that shaped a student's behavior.",
    ),
    "surgery": ("workflows.commands.audit:surgery", "Remove a teacher from a student."),
    "student": ("workflows.commands.student:student", "List published students; roll back."),
    "plans": ("workflows.commands.runs:plans", "List consolidations and their results."),
    "compare": ("workflows.commands.compare:compare", "Compare two consolidations."),
    "waive": ("workflows.commands.approve:waive", "Accept a plan's findings with a signed waiver."),
    "trust": ("workflows.commands.trust:trust", "Show and change which keys sign which names."),
    "estimate": (
        "workflows.commands.estimate:estimate",
        "Estimate what a consolidation takes: memory, storage and time.",
    ),
    "doctor": (
        "workflows.commands.doctor:doctor",
        "Check machine, store, keys, MLflow and versions.",
    ),
    "lineage": ("workflows.commands.lineage:lineage", "Show and verify a checkpoint's ancestry."),
}


def _remove_flyte_folders() -> None:
    """Remove the two temporary folders that importing flytekit makes and leaves behind."""
    if "flytekit" in sys.modules:
        from flytekit.configuration import Config
        from flytekit.core.data_persistence import flyte_tmp_dir

        for folder in (flyte_tmp_dir, Config().local_sandbox_path):
            shutil.rmtree(folder, ignore_errors=True)


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what it refuses ends in one message that steers no terminal."""
        from tasks.platform.garbage import collect_rarely  # help loads no tasks

        sys.excepthook = show_trace
        collect_rarely()
        atexit.register(_remove_flyte_folders)
        try:
            return super().invoke(ctx)
        except click.UsageError:
            raise  # of what the user typed
        except (click.ClickException, LineageError) as error:
            raise click.ClickException(paragraph(str(error))) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup)
@click.version_option(package_name="provost")
def main() -> None:
    """Multi-teacher post-training with verified lineage."""
