"""A model that others trained as the base, or as the fork point, without training."""

from pathlib import Path

from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from tasks.contracts.inputs import told_by_name
from tasks.contracts.refusal import RefusedError
from tasks.model.bring_in import bring_in, digests_of, located
from tasks.model.chat import ChatTokens
from tasks.model.files import load_tokenizer
from tasks.model.hub import UNKNOWN_LICENSE, stated_license
from tasks.model.settings import Precision, StoredAs, saved_as
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.sft.settings import SHARED_STAGE, FoundationPreset, SftSettings


def bring_base(
    runner: StepRunner,
    source: str,
    license: str = "",
    precision: StoredAs = StoredAs.AUTO,
    *,
    speaks: bool = True,
) -> Artifact:
    """Return the Hugging Face model ``source`` as a checkpoint of the store.

    Args:
        runner: Runs the step.
        source: Path of a folder, or id on the Hub, with a branch, tag or commit behind an @.
        license: License of the model; "" for the one that its folder states.
        precision: Floating-point format in which it is stored.
        speaks: Whether teams start from it, which takes a usable chat template.

    Raises:
        RefusedError: for a model that cannot be used, before anything is stored.
    """
    identity, fetch = located(source, runner.store.uri, precision)
    derivation = Derivation(
        project=runner.project,
        kind="base",
        inputs=(),
        source=source_digest("sft", "supervised"),
        settings=identity | ({"license": license} if license else {}) | saved_as(precision),
        seed=0,
    )

    def make(into: Path, measurements: Measurements) -> Path:
        report("base", 0, 1, message=f"copy {source}")
        place = fetch()
        measurements.notes["license"] = license or stated_license(place) or UNKNOWN_LICENSE
        if "files" not in identity:
            measurements.notes["files"] = digests_of(place)
        brought = bring_in(place, into / "model", precision)
        measurements.notes |= brought.notes
        report("base", 1, 1, message=f"saved in {brought.precision}")
        if speaks:
            _refuse_unusable_template(brought.folder, source)
        return brought.folder

    made = runner.find_or_make(derivation, "checkpoint", make, owner="foundation")
    if speaks:  # it may have been stored before as a base alone
        _refuse_unusable_template(runner.store.tree(made.digest), source)
    return made


def _refuse_unusable_template(folder: Path, source: str) -> None:
    """Try the chat template once.

    Raises:
        RefusedError: if the model could not be trained with it, with the code of the reason.
    """
    try:
        ChatTokens(load_tokenizer(folder))
    except RefusedError as error:
        raise RefusedError(
            error.code, f"{source} cannot be a fork point: {error}. It is used as a chat model"
        ) from error


def shared_stage(
    preset: FoundationPreset,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup_steps: int,
    saved_precision: Precision = Precision.FP32,
) -> SftSettings:
    """Return a preset's numbers, with those given that are not 0; a warm-up of -1 is not given.

    Raises:
        InputError: for a number out of its range, by the name of the input.
    """
    given: dict[str, int | float] = {
        "num_steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    chosen = {name: value for name, value in given.items() if value}
    if warmup_steps != -1:
        chosen["warmup_steps"] = warmup_steps
    with told_by_name({name: f"sft_{name.removeprefix('num_')}" for name in chosen}):
        return SftSettings.model_validate(
            SHARED_STAGE[preset].model_dump() | chosen | saved_as(saved_precision)
        )
