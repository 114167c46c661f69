"""The atlas: the cards of all recipes side by side, with the recorded graph of each."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from rich.table import Table

from lineage.artifacts import Artifact
from lineage.graph.graph import Lineage
from lineage.graph.handed import model_edges
from lineage.graph.index import Edge
from lineage.graph.nodes import Graph, in_order
from lineage.view.picture import draw
from tasks.contracts.scale import Scale
from tasks.evaluate.recipe_card import (
    BASE,
    CARD,
    DomainScore,
    ModeScore,
    RecipeCard,
    read_card,
)
from tasks.evaluate.recipe_rewards import RewardScore
from tasks.evaluate.sections import SCORE_AXIS
from tasks.platform.step_runner import StepRunner
from tasks.reports.rendering import inline_svg, render


@dataclass(frozen=True)
class RecipeText:
    """What a recipe's file says of itself."""

    title: str
    """Name of the system, its source, and what it is."""
    lesson: str
    """One line on what to learn from it."""

    @property
    def name(self) -> str:
        """Name of the system."""
        return re.split(r" \(|: ", self.title)[0]


@dataclass(frozen=True)
class AtlasRow:
    """One run of a recipe, as the atlas shows it."""

    card: RecipeCard
    record: str
    text: RecipeText
    svg: Markup

    @property
    def system(self) -> str:
        """Name of the recipe."""
        return self.card.label.system

    @property
    def scores(self) -> Mapping[str, DomainScore]:
        """Scores of its model by domain."""
        return self.card.scores[self.card.stages[-1].name]

    @property
    def mean(self) -> float:
        """Mean score of its model over the domains."""
        return _mean(self.scores)

    @property
    def gain(self) -> float:
        """Mean score of its model less the base's."""
        return self.mean - _mean(self.card.scores[BASE])

    @property
    def forgotten(self) -> float:
        """Largest forgetting of a domain."""
        return max(self.card.forgetting.values())

    @property
    def drift(self) -> float:
        """Mean KL from the base over the domains, in nats per token."""
        found = self.card.drift[self.card.stages[-1].name].values()
        return sum(found) / len(found)

    @property
    def sampled(self) -> int:
        """Tokens sampled for training."""
        return sum(cost.tokens_sampled for cost in self.card.cost.values())

    @property
    def trained(self) -> int:
        """Tokens trained on."""
        return sum(cost.tokens_trained for cost in self.card.cost.values())

    @property
    def stages(self) -> list[str]:
        """The base, and the stages in the order of the recipe."""
        return [BASE, *(stage.name for stage in self.card.stages)]

    @property
    def modes(self) -> dict[tuple[str, str], dict[str, ModeScore]]:
        """Domain and mode to stage to score, for the domains with modes."""
        found: dict[tuple[str, str], dict[str, ModeScore]] = {}
        for stage, row in self.card.scores.items():
            for domain, score in row.items():
                for mode, own in score.modes.items():
                    found.setdefault((domain, mode), {})[stage] = own
        return dict(sorted(found.items()))

    @property
    def rewards(self) -> dict[tuple[str, str], dict[str, RewardScore]]:
        """Reward model and domain to stage to score."""
        found: dict[tuple[str, str], dict[str, RewardScore]] = {}
        for stage, row in self.card.rewards.items():
            for domain, scores in row.items():
                for name, own in scores.items():
                    found.setdefault((name, domain), {})[stage] = own
        return dict(sorted(found.items()))

    @property
    def minutes(self) -> float:
        """Processor minutes."""
        return sum(cost.processor_seconds for cost in self.card.cost.values()) / 60


ORDERS: Mapping[str, tuple[str, Callable[[AtlasRow], float | str]]] = {
    "score": ("mean score", lambda row: -row.mean),
    "name": ("name", lambda row: row.text.name),
    "forgetting": ("forgetting", lambda row: row.forgotten),
    "drift": ("drift", lambda row: row.drift),
    "sampled": ("tokens sampled", lambda row: row.sampled),
    "minutes": ("processor time", lambda row: row.minutes),
}
"""Orders of the table: id, label and key. The page has no script, so it holds each order."""


def newest_cards(runner: StepRunner) -> dict[str, RecipeCard]:
    """Return the newest card of each recipe, scale and seed, by its record."""
    index = Lineage(runner.store).index
    newest: dict[tuple[str, Scale, int], tuple[str, str, RecipeCard]] = {}
    for row in index.rows(index.of_kind(CARD)):
        artifact = Artifact(kind=row.output_kind, digest=row.output, record=row.digest)
        card = read_card(runner, artifact)
        key = (card.label.system, card.label.scale, card.label.seed)
        if key not in newest or newest[key][0] < row.finished:
            newest[key] = (row.finished, row.digest, card)
    ordered = sorted(newest.values(), key=lambda found: found[2].label.system)
    return {record: card for _, record, card in ordered}


def atlas_rows(
    runner: StepRunner, cards: Mapping[str, RecipeCard], texts: Mapping[str, RecipeText]
) -> list[AtlasRow]:
    """Return the rows of cards by record; a recipe without a text shows its name."""
    return [
        AtlasRow(
            card,
            record,
            texts.get(card.label.system, RecipeText(card.label.system, "")),
            inline_graph(runner, card),
        )
        for record, card in cards.items()
    ]


def inline_graph(runner: StepRunner, card: RecipeCard) -> Markup:
    """Return the drawing of a recipe's graph."""
    return inline_svg(draw(recipe_graph(runner, card)))


def recipe_graph(runner: StepRunner, card: RecipeCard) -> Graph:
    """Return the models of a recipe, and what each handed to the next, as its records say."""
    last = card.stages[-1].artifact
    ends = {stage.artifact.record for stage in card.stages}
    found = sorted(
        {edge for end in ends for edge in model_edges(runner.records, end, card.base.record)}
    )
    edges = [Edge(each.child, each.parent, each.handed, "", "", None) for each in found]
    records = {*ends, *(end for each in found for end in (each.parent, each.child))}
    names = {stage.artifact.record: stage.name for stage in card.stages}
    names[card.base.record] = BASE
    known = Lineage(runner.store).subgraph(sorted(records), last.record)
    nodes = {
        node.record: replace(node, label=names.get(node.record, node.label)) for node in known.nodes
    }
    ordered = in_order(sorted(records), edges)
    # Without a focus every stage is drawn, also one that led to nothing, such as a baseline.
    return Graph(tuple(nodes[record] for record in ordered), tuple(edges))


def atlas_page(rows: Sequence[AtlasRow], scale: Scale) -> str:
    """Return the atlas as a self-contained page."""
    domains = sorted({domain for row in rows for domain in row.scores})
    return render(
        "atlas.html.j2",
        title="Atlas of recipes",
        scale=scale,
        domains=domains,
        orders={name: label for name, (label, _) in ORDERS.items()},
        bodies={name: sorted(rows, key=key) for name, (_, key) in ORDERS.items()},
        rows=sorted(rows, key=lambda row: (row.text.title, row.card.label.seed)),
        axis=SCORE_AXIS,
    )


def atlas_table(rows: Sequence[AtlasRow]) -> Table:
    """Return the atlas for a rich console, best mean score first."""
    domains = sorted({domain for row in rows for domain in row.scores})
    table = Table("recipe", "seed", "mean", *domains, "forgets", "drift", "min", box=None)
    for row in sorted(rows, key=lambda row: -row.mean):
        scores = (f"{row.scores[d].mean:.2f}" if d in row.scores else "" for d in domains)
        table.add_row(
            row.system,
            str(row.card.label.seed),
            f"{row.mean:.3f}",
            *scores,
            f"{row.forgotten:.2f}",
            f"{row.drift:.3f}",
            f"{row.minutes:.1f}",
        )
    return table


def _mean(scores: Mapping[str, DomainScore]) -> float:
    return sum(score.mean for score in scores.values()) / len(scores)
