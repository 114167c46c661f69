"""``provost recipe``: published post-training systems, run on the testbed and compared."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from tasks.contracts.scale import Scale
from tasks.mopd.round_form import LARGEST_SEED
from workflows import recipes
from workflows.commands.answers import RecipeAnswer, RecipeCards, RecipeList, RecipeName
from workflows.commands.local import quiet, run_locally
from workflows.commands.options import Member
from workflows.commands.output import as_json, draw, emit, say, tabulate

if TYPE_CHECKING:
    from tasks.evaluate.atlas import AtlasRow

_FOLDER = Path(recipes.__path__[0])
_LESSON = "Lesson:"


def systems() -> dict[str, tuple[str, str]]:
    """Return title and lesson of each recipe by its name, from the docstrings of their files."""
    found = {}
    for file in sorted(_FOLDER.glob("*.py")):
        if file.stem.startswith(("_", "kit", "wiring")):
            continue
        text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or file.stem
        lesson = text.partition(_LESSON)[2].partition("\n\n")[0]
        found[file.stem] = (text.splitlines()[0].rstrip("."), " ".join(lesson.split()))
    return found


def recipe_module(system: str) -> ModuleType:
    """Return the module of a recipe.

    Raises:
        click.ClickException: for a name that no recipe has.
    """
    known = systems()
    if system not in known:
        raise click.ClickException(
            f"there is no recipe {system!r}: choose from {', '.join(known) or 'none'}"
        )
    return import_module(f"workflows.recipes.{system}")


@click.group()
def recipe() -> None:
    """List and compare published post-training systems; `provost run recipe` runs one."""


@recipe.command("list")
@as_json
def list_recipes(as_document: bool) -> None:
    """List the recipes."""
    known = systems()
    if as_document:
        named = [
            RecipeName(name=name, title=title, lesson=lesson)
            for name, (title, lesson) in known.items()
        ]
        emit(RecipeList(recipes=named))
        return
    tabulate(["recipe", "system"], ([name, title] for name, (title, _) in known.items()))
    say("To run one: provost run recipe NAME [--scale tiny] [--seed N]")


@recipe.command()
@click.option(
    "--scale",
    type=Member(Scale),
    default=Scale.TINY.value,
    show_default=True,
    help="Scale of the cards.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write the atlas to this HTML file.")
@as_json
def compare(scale: Scale, html: Path | None, as_document: bool) -> None:
    """Compare the recipes that ran: scores, forgetting, drift, cost; --html for their graphs."""
    from tasks.evaluate.atlas import (
        RecipeText,
        atlas_page,
        atlas_rows,
        atlas_table,
        newest_cards,
    )
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    cards = {r: card for r, card in newest_cards(runner).items() if card.label.scale is scale}
    if not cards:
        raise click.ClickException(
            f"no recipe has run at the scale {scale.value}: provost run recipe NAME --scale "
            f"{scale.value}"
        )
    texts = {name: RecipeText(*text) for name, text in systems().items()}
    rows = atlas_rows(runner, cards, texts)
    if html is not None:
        html.write_text(atlas_page(rows, scale), encoding="utf-8")
    if as_document:
        emit(RecipeCards(cards=[_answer(row) for row in rows]))
    elif html is None:
        draw(atlas_table(rows))
    else:
        say(str(html))


@click.command("recipe")
@click.argument("system")
@click.option(
    "--scale",
    type=Member(Scale),
    default=Scale.TINY.value,
    show_default=True,
    help="micro for a test of all stages, tiny for two cores, published for a cluster.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=0,
    show_default=True,
    help="Random seed of training; base and data are the same for all seeds.",
)
@as_json
def run_recipe(system: str, scale: Scale, seed: int, as_document: bool) -> None:
    """Run a published post-training system on the testbed; `provost recipe list` names them."""
    quiet()
    module = recipe_module(system)
    made = run_locally(getattr(module, system), scale=scale, seed=seed)
    from tasks.evaluate.atlas import atlas_rows, atlas_table
    from tasks.evaluate.recipe_card import read_card
    from tasks.platform.step_runner import StepRunner

    runner = StepRunner()
    rows = atlas_rows(runner, {made.card.record: read_card(runner, made.card)}, {})
    if as_document:
        emit(_answer(rows[0]))
        return
    draw(atlas_table(rows))
    say(f"model {made.model.digest}")
    say(f"To compare all: provost recipe compare --scale {scale.value} --html atlas.html")


def _answer(row: "AtlasRow") -> RecipeAnswer:
    return RecipeAnswer(
        recipe=row.system,
        scale=row.card.label.scale.value,
        seed=row.card.label.seed,
        card=row.record,
        model=row.card.stages[-1].artifact.digest,
        mean=row.mean,
        gain=row.gain,
        scores={domain: score.mean for domain, score in row.scores.items()},
        forgetting=row.card.forgetting,
        drift=row.drift,
        tokens_sampled=row.sampled,
        tokens_trained=row.trained,
        processor_minutes=row.minutes,
    )
