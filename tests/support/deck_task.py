"""A task that shows a page and then refuses, as a plan with findings does."""

from lineage.digest import digest_json
from lineage.records.record import Derivation
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror


@hosted(Stage.PLAN, deck=True)
def refuse(page: str, findings: int) -> int:
    """Show the page, then end where there are findings."""
    show("findings", page)
    if findings:
        raise ValueError("the plan is refused")
    return findings


@hosted(Stage.PLAN, deck=True)
def show_twice(first: str, second: str) -> int:
    """Show a page, and another one in its place."""
    show("training", first)
    show("training", second)
    return 0


@hosted(Stage.PLAN, deck=True)
def note(text: str) -> str:
    """Keep a text as a recorded output, or find it; return the record."""
    runner = StepRunner(mirror=MemoryMirror())
    derivation = Derivation(
        project=runner.project,
        kind="behaviors",
        inputs=(),
        source=digest_json("note"),
        settings={"text": text},
        seed=0,
    )

    def make(folder, _measured):
        path = folder / "note.txt"
        path.write_text(text)
        return path

    return runner.find_or_make(derivation, "behaviors", make).record
