"""Where in Flyte a step ran: the version of its task, and the execution it was part of."""

from lineage.artifacts import Frozen


class FlyteRun(Frozen):
    """An execution of a workflow, as a task's pod sees it."""

    project: str
    domain: str
    execution: str
    """The execution's own name, such as f1a2b3c4d5e6f7; one in project and domain."""
    workflow: str = ""
    version: str = ""
    """Registered version of the task that ran."""
    url: str = ""
    """The step's page in Flyte's console; "" where Flyte does not know the console's address."""

    @property
    def name(self) -> str:
        """The execution's name in all of Flyte: project, domain and its own."""
        return f"{self.project}/{self.domain}/{self.execution}"
