"""Records as MLflow runs, with their parents, data sets and logged models.

Everything is found by digests in tags, because most of MLflow's own calls are not idempotent.
"""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from lineage.digest import digest_json
from lineage.mirror.cards import REPORTS, show_files
from lineage.mirror.content import Content, Contents, scores_of
from lineage.mirror.live import LiveRuns, Step, now_ms
from lineage.mirror.lookup import Lookup
from lineage.mirror.plans import Ending, PlanReader
from lineage.mirror.run_view import (
    AREAS,
    MAX_TAG,
    NOT_FINITE,
    NOTE,
    OUTPUTS,
    PARENT,
    RECORD,
    MetricRow,
    RunView,
    area_of,
    clip,
    namespace_of,
    plan_of,
)
from lineage.mirror.story import Links, story_of_run, story_while_running
from lineage.mirror.writing import Writer, difference
from lineage.records.record import Attestation, Derivation, Records
from lineage.store.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run


_ENDED = {"FINISHED", "FAILED"}


class RunMirror:
    """The records of one store in one MLflow. The caller holds ``only_writer``."""

    def __init__(
        self, client: "MlflowClient", uri: str, store: Store, *, trusting: bool = True
    ) -> None:
        """Show records of ``store`` in the MLflow of ``client``, at ``uri``.

        ``trusting`` takes a finished run for what its tags say. Without it each is compared with
        its record, once, and made anew where they differ.
        """
        self._client = client
        self._store = store
        self._trusting = trusting
        self._records = Records(store)
        self.lookup = Lookup(client, uri, self._records, namespace_of(store.uri))
        self._contents = Contents(store, self._records, self.lookup)
        self._writer = Writer(client, self.lookup)
        self._shown: dict[str, str] = {}
        self._found: dict[str, Run | None] = {}
        self._addresses: dict[str, str] = {}
        self._plans = PlanReader(store, self._records)
        self._namespace = namespace_of(store.uri)
        self.live = LiveRuns(client)
        self.repaired: list[str] = []
        """What was found to be wrong, and is right now."""

    def show(self, digest: str) -> None:
        """Show a record after the records that it descends from."""
        if self._trusting:  # a comparison has just looked at everything
            self._found.clear()  # what MLflow has may have changed since this process looked
        self.lookup.forget_experiments()
        todo = [digest]
        while todo:
            current = todo[-1]
            missing = [] if self._is_shown(current) else self._missing_parents(current)
            todo += missing
            if not missing:
                todo.pop()
                self._show_one(current)

    def end_silent(self) -> None:
        """End the runs of steps after their process was killed."""
        self.live.end_silent(self.lookup.existing(AREAS), now_ms())

    def forget(self) -> None:
        """Forget what was found; others may have changed it."""
        self._shown.clear()
        self._found.clear()
        self._addresses.clear()
        self.lookup.forget()

    def address(self, record: str) -> str:
        """Return where MLflow's pages show a record; "" for one that they do not."""
        if record and record not in self._addresses:
            self._remember(record, self.find(record))
        return self._addresses.get(record, "")

    def _remember(self, record: str, run: "Run | None") -> None:
        if run:
            place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            self._addresses[record] = place

    def _missing_parents(self, digest: str) -> list[str]:
        wanted = [*self._records.parents(digest), self._plans.consolidation_of(digest)]
        return [parent for parent in wanted if parent and not self._is_shown(parent)]

    def _outputs(self, digest: str) -> str:
        """Return a digest of what a record gave so far: its view is complete up to these."""
        outputs = {item.output for item in self._records.attestations(digest)}
        return digest_json([*sorted(outputs)])

    def _is_shown(self, digest: str) -> bool:
        if digest not in self._shown:
            run = self.find(digest) if self._trusting else None
            if run is None or run.info.status not in _ENDED:
                return False
            self._remember(digest, run)
            self._shown[digest] = run.data.tags.get(OUTPUTS, "")
        return self._shown[digest] == self._outputs(digest)

    def _show_one(self, digest: str) -> None:
        """Create a record's run, or finish what a killed process began."""
        attestations = self._records.attestations(digest)
        if not attestations or self._is_shown(digest):
            return  # without an attestation nothing has come out yet
        content, outputs = self._contents.of(digest), self._outputs(digest)
        view, ending = content.view, self._ending(content)
        plan = self._plans.consolidation_of(digest)
        tags = view.tags | self._words(content) | self._parent(plan) | {OUTPUTS: outputs}
        run = self.find(digest)
        if run and not self._trusting:
            if not self._is_wrong(run, content):
                self._bring_up_to_date(run, content, tags)
                if (run.info.status, run.info.end_time) != (ending.status, ending.at_ms):
                    self._end(run, ending)
                self._remember(digest, run)
                self._shown[digest] = outputs
                return
            self._client.delete_run(run.info.run_id)
            for output, _ in content.outputs:  # they are those of the run that goes
                self.lookup.known(output, digest, "", ())
            run = None
        found, run = run is not None, run or self._create_run(view, tags)
        self._remember(digest, run)
        self._write(run, content, search=found or not self._trusting)
        if found:  # a view that was cut off, or a step that was shown at work
            self._bring_up_to_date(run, content, tags)
        self._end(run, ending)
        self._shown[digest] = outputs
        if self._trusting:
            self._end_consolidation(plan, ending)

    def _end(self, run: "Run", ending: Ending) -> None:
        self._client.set_terminated(run.info.run_id, ending.status, ending.at_ms or None)

    def _ending(self, content: Content) -> Ending:
        """Return how a run ended; that of a consolidation ends with its latest step."""
        own = Ending.of(content.derivation, content.attestations[-1])
        return own if self._trusting else max(own, self._endings.get(content.view.record, own))

    def _end_consolidation(self, plan: str, ending: Ending) -> None:
        """Let the run of a consolidation end with a step of it, unless another ended later."""
        run = self.find(plan) if plan else None
        if run is None:
            return
        known = Ending(run.info.end_time or 0, run.info.status == "FAILED")
        if ending > known:
            self._end(run, ending)
            self._found.pop(plan)

    def _bring_up_to_date(self, run: "Run", content: Content, tags: dict[str, str]) -> None:
        """Set what may be set again: name, tags, files."""
        run_id, shown = run.info.run_id, run.data.tags
        if run.info.run_name != content.view.name:
            self._client.update_run(run_id, name=content.view.name)
        self._writer.tags(run_id, {k: text for k, text in tags.items() if shown.get(k) != text})
        self._show_files(run_id, content.derivation, content.attestations[-1])

    def _write(self, run: "Run", content: Content, *, search: bool) -> None:
        run_id, view = run.info.run_id, content.view
        self._writer.inputs(run_id, content.models, content.datasets)
        if content.not_finite:
            self._client.set_tag(run_id, NOT_FINITE, clip(content.not_finite, MAX_TAG))
        logged = self.live.logged(view.record)
        metrics = [metric for metric in content.metrics if _row(metric) not in logged]
        self._writer.values(run_id, view.params, metrics)
        self._writer.outputs(run, content, search=search)
        self._show_files(run_id, content.derivation, content.attestations[-1])

    @cached_property
    def _scores(self) -> dict[str, set[tuple[str, float]]]:
        return scores_of(self._store, self._records)

    @cached_property
    def _endings(self) -> dict[str, Ending]:
        return self._plans.endings()

    def _is_wrong(self, run: "Run", content: Content) -> bool:
        record, run_id = content.view.record, run.info.run_id
        models = {
            self.lookup.known(digest, record, run_id, self._scores.get(digest, set()))
            for digest, _ in content.outputs
        }
        # The status of a consolidation follows its steps: it is set anew at no cost.
        follows = record in self._endings and run.info.status in _ENDED
        status = run.info.status if follows else self._ending(content).status
        wrong = difference(self._client, run_id, content, models, status)
        if wrong and run.info.status in _ENDED:  # else its view was only cut off
            self.repaired.append(f"{content.view.name}: {wrong}")
        return bool(wrong)

    def _words(self, content: Content) -> dict[str, str]:
        """Return the description, which leads to other runs."""
        attestation = content.attestations[-1]
        links = self._links(self._plans.teachers(content.derivation, attestation.notes))
        return {NOTE: story_of_run(content.derivation, attestation, links)}

    def _links(self, teachers: dict[str, str]) -> Links:
        return Links(self.address, teachers, self._namespace)

    def _parent(self, plan: str) -> dict[str, str]:
        run = self.find(plan) if plan else None
        return {PARENT: run.info.run_id} if run else {}

    def find(self, digest: str) -> "Run | None":
        """Return the run of a record, if MLflow has one."""
        if digest not in self._found:
            self._found[digest] = self._run_in(self.lookup.area(digest), digest)
        return self._found[digest]

    def _run_in(self, area: str, digest: str) -> "Run | None":
        condition = f"tags.`{RECORD}` = '{digest}'"
        found = self._client.search_runs([self.lookup.experiment(area)], condition)
        runs = sorted(found, key=lambda run: run.info.run_id)
        # Two machines that look at one moment both find nothing and both create. Everybody then
        # keeps the same one.
        for other in runs[1:]:
            self._client.delete_run(other.info.run_id)
        return runs[0] if runs else None

    def show_live(self, step: Step) -> None:
        """Show a step that has no output yet, with what it has measured since the last time."""
        if not step.derivation.project:  # as when it is written
            own = {"project": self._records.journal.author.project}
            step = replace(step, derivation=step.derivation.model_copy(update=own))
        digest, derivation = step.derivation.digest(), step.derivation
        run_id = self.live.run_ids.get(digest)
        if run_id is None:
            self.lookup.forget_experiments()
            known = self._records.history(digest)
            notes = known[0].notes if known else step.notes
            area = area_of(derivation.kind, plan_of(derivation, notes))
            before = self._run_in(area, digest)
            if before and OUTPUTS in before.data.tags:
                return  # it was finished once, and is made again because its output was lost
            if before:
                self.live.set_aside(before)
            for parent in dict.fromkeys(item.record for item in derivation.inputs if item.record):
                self.show(parent)
            links = self._links(self._plans.teachers(derivation, notes))
            tags = {NOTE: story_while_running(derivation, links)}
            if plan := self._plans.first(derivation, notes):
                self.show(plan)
                tags |= self._parent(plan)
            run_id = self.live.begin(step, self.lookup.experiment(area), tags)
            self._writer.inputs(run_id, *self._contents.inputs(derivation))
        self.live.log(step, run_id)

    def _create_run(self, view: RunView, tags: dict[str, str]) -> "Run":
        experiment = self.lookup.experiment(self.lookup.area(view.record))
        run = self._client.create_run(experiment, view.started_ms or None, tags, view.name)
        self._found[view.record] = run
        return run

    def _show_files(self, run_id: str, derivation: Derivation, attestation: Attestation) -> None:
        """Put a report among the artifacts of its run, of its student's and its consolidation's."""
        if attestation.output_kind not in REPORTS:
            return
        about = [item.record for item in derivation.inputs if item.role == "student"]
        about.append(self._plans.first(derivation, attestation.notes))
        found = [self.find(record) for record in about if record]
        runs = dict.fromkeys([run_id, *(run.info.run_id for run in found if run)])
        show_files(self._client, self._store, attestation.output, [*runs])


def _row(metric: "Metric") -> MetricRow:
    return MetricRow(metric.key, metric.value, metric.step, metric.timestamp)
