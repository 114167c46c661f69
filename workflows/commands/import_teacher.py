"""``provost teacher import``: a teacher that was trained elsewhere becomes a release."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import ValidationError

from lineage.declared import Declared
from lineage.store.store import open_store
from lineage.view.summary import summary_of
from tasks.contracts.handover import DomainSettings
from tasks.contracts.inputs import told_by_name
from tasks.evaluate.settings import EvaluationSettings
from tasks.model.settings import StoredAs
from tasks.release.settings import ImportSettings
from tasks.rollout.environment import SPLITS
from tasks.rollout.settings import SamplingSettings
from workflows.commands.faculty import place_of, team_settings
from workflows.commands.local import quiet, run_locally
from workflows.commands.models import conclude
from workflows.commands.names import told_of_candidate
from workflows.commands.options import chosen, stored_as
from workflows.commands.output import as_json, say
from workflows.imported import import_and_release

_DATA = "prompts"


@dataclass(frozen=True)
class MeasuredWith:
    """Where prompts and environment are, and how they are used."""

    package: str
    domain: DomainSettings
    sampling: SamplingSettings


@click.command("import")
@click.argument("source")
@click.option(
    "--team",
    required=True,
    help="Team or package with settings.py, or a folder with environment.py and prompts/*.jsonl.",
)
@click.option(
    "--fork-point",
    default="fork-point@released",
    show_default=True,
    help="Registered checkpoint that it was trained from.",
)
@click.option("--domain", help="Domain of the teacher; a folder needs it.")
@click.option("--owner", help="Team that owns the teacher; a folder needs it.")
@click.option("--license", "license", help="License of weights and prompts; a folder needs it.")
@click.option("--version", help="Version of prompts and environment; a folder needs it.")
@click.option(
    "--system-prompt",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Text file with a system prompt that only the teacher sees.",
)
@click.option("--max-new-tokens", type=click.IntRange(1), help="Length of an evaluated response.")
@click.option("--temperature", type=click.FloatRange(0, min_open=True), help="Of the evaluation.")
@click.option(
    "--declare",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"A fact of its training; several times: {', '.join(Declared.model_fields)}.",
)
@stored_as
@as_json
def import_(
    source: str,
    *,
    team: str,
    fork_point: str,
    declare: tuple[str, ...],
    as_document: bool,
    system_prompt: Path | None,
    saved_precision: StoredAs,
    **stated: str | float | None,
) -> None:
    """Release SOURCE, a Hugging Face folder, an ID[@REVISION] or a LoRA adapter, as a teacher.

    Its weights are compared with the fork point's: a declaration that they contradict is refused.
    What is not declared is recorded as unknown.
    """
    quiet()
    started = time.monotonic()
    sampled = chosen({name: stated.pop(name) for name in ("max_new_tokens", "temperature")})
    if system_prompt is not None:
        stated["system_prompt"] = read_system_prompt(system_prompt)
    found = _team(team, chosen(stated), sampled)
    with told_by_name({}):
        teacher = ImportSettings(
            source=source,
            domain=found.domain.name,
            owner=found.domain.owner,
            license=found.domain.license,
            declared=_declared(declare),
            saved_precision=saved_precision,
        )
    made = run_locally(
        import_and_release,
        teacher=teacher,
        package=found.package,
        domain=found.domain,
        evaluation=EvaluationSettings(sampling=found.sampling),
        fork_point=fork_point,
    )
    took = time.monotonic() - started
    conclude(summary_of(open_store(), made.release.digest, took), as_document)
    if not as_document:
        for line in told_of_candidate(made.release):
            say(line)


def read_system_prompt(file: Path) -> str:
    """Return the text of a file without the space around it.

    Raises:
        click.ClickException: for an empty file, or one that is not UTF-8 text.
    """
    try:
        text = file.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"{file} is not UTF-8 text ({error}): save it as UTF-8"
        ) from error
    if not text:
        raise click.ClickException(
            f"{file} is empty, so the teacher would read nothing: leave --system-prompt out"
        )
    return text


def _declared(entries: Sequence[str]) -> Declared:
    """Return the facts that were stated as ``name=value``.

    Raises:
        click.ClickException: for another name, an empty value, or a name that occurs twice.
    """
    facts: dict[str, str] = {}
    for entry in entries:
        name, _, value = (part.strip() for part in entry.partition("="))
        if name in facts or name not in Declared.model_fields or not value:
            raise click.ClickException(
                f"--declare {entry!r} cannot be used: write NAME=VALUE, each name once, of "
                f"{', '.join(Declared.model_fields)}"
            )
        facts[name] = value
    return Declared(**facts)


def _team(team: str, stated: dict[str, object], sampled: dict[str, object]) -> MeasuredWith:
    """Return the team behind ``--team``; stated facts must agree with its settings.

    Raises:
        click.ClickException: for a team or a folder that lacks something.
    """
    if "/" in team or Path(team).is_dir():
        return _of_folder(Path(team).resolve(), stated, sampled)
    module = team_settings(team)
    domain: DomainSettings = module.DOMAIN
    stated_too = {"owner", "license", "version", "system_prompt"}
    own = {"domain": domain.name} | domain.model_dump(include=stated_too)
    if other := [name for name, value in stated.items() if own[name] != value]:
        raise click.ClickException(
            f"--{other[0].replace('_', '-')} is {stated[other[0]]!r}, but the settings "
            f"of {team} say {own[other[0]]!r}: leave the option out, or change settings.py"
        )
    sampling = module.RL.sampling if hasattr(module, "RL") else SamplingSettings()
    sampling = SamplingSettings.model_validate(sampling.model_dump() | sampled)
    return MeasuredWith(place_of(team).package, domain, sampling)


def _of_folder(folder: Path, stated: dict[str, object], sampled: dict[str, object]) -> MeasuredWith:
    """Return a team without settings; its files say how many prompts there are."""
    needed = {"domain": "domain", "owner": "owner", "license": "license", "version": "version"}
    missing = [f"--{option}" for option, name in needed.items() if name not in stated]
    missing += [] if "max_new_tokens" in sampled else ["--max-new-tokens"]
    if missing:
        raise click.ClickException(
            f"{folder} has no settings.py of a team, so the command needs {', '.join(missing)}"
        )
    counts = {f"num_{name}": _lines(folder, name) for name in (*SPLITS, "demonstrations")}
    try:
        domain = DomainSettings.model_validate({"name": stated.pop("domain"), **stated, **counts})
    except ValidationError as error:
        first = error.errors()[0]
        raise click.ClickException(
            f"{'.'.join(map(str, first['loc']))} of {folder} is {first['input']!r}: {first['msg']}"
        ) from error
    return MeasuredWith(str(folder), domain, SamplingSettings.model_validate(sampled))


def _lines(folder: Path, name: str) -> int:
    path = folder / _DATA / f"{name}.jsonl"
    if not path.is_file():
        raise click.ClickException(
            f"{path} is missing: a folder for an import holds environment.py, and prompts/ with "
            "train, validation, evaluation and demonstrations as .jsonl; a few demonstrations are "
            "enough, to try the environment"
        )
    return sum(1 for line in path.read_text("utf-8").splitlines() if line.strip())
