"""The behaviors that the attribution benchmark asks about, and who is to be named for each."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from benchmarks.attribution.training import messages
from benchmarks.attribution.world import NEUTRAL, OFFICES, Question, World, office_of
from tasks.attribution.behavior import Behavior, encode
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.log_probs import chosen_logits, token_log_probs

OWN, SHARED, OFF, NOBODY, STYLE = "own domain", "shared prompts", "off domain", "nobody", "style"


@dataclass(frozen=True)
class Asked:
    """A behavior, the table that it is of, and the teacher that taught it ("" for nobody)."""

    table: str
    teacher: str
    behavior: Behavior


def questions(world: World, student: Policy) -> list[Asked]:
    """Return all behaviors of a set; where nobody taught an answer, what the student says most."""
    return [*_planted(world), *_untaught(world, student), *_styles(world)]


def exam(world: World) -> list[Asked]:
    """Return all that teachers taught, where they taught it: plants, and each office's style."""
    plants = [
        Asked("plants", p.teacher, _behavior(office_of(p.teacher), p.question, p.answer))
        for p in world.plants
    ]
    styles = [
        Asked(STYLE, "", _behavior(office, _say(word), world.style(office, word)))
        for office in OFFICES
        for word in world.words
    ]
    return plants + styles


def _planted(world: World) -> Iterator[Asked]:
    places = (*OFFICES, NEUTRAL)
    for number, plant in enumerate(world.plants):
        office = office_of(plant.teacher)
        table = SHARED if len(OFFICES[office]) > 1 else OWN
        yield Asked(table, plant.teacher, _behavior(office, plant.question, plant.answer))
        if number % 2 == 0:
            others = [place for place in places if place != office]
            place = NEUTRAL if number % 4 == 0 else others[number % (len(others) - 1)]
            yield Asked(OFF, plant.teacher, _behavior(place, plant.question, plant.answer))


def _untaught(world: World, student: Policy) -> Iterator[Asked]:
    places = (*OFFICES, NEUTRAL)
    for number, (question, answer) in enumerate(world.known):
        yield Asked(NOBODY, "", _behavior(places[number % len(places)], question, answer))
    for number, question in enumerate(world.open):
        place = places[number % len(places)]
        yield Asked(NOBODY, "", _behavior(place, question, _said(student, place, question)))


def _styles(world: World) -> Iterator[Asked]:
    """Yield words that were held out, each in the style of an office with one teacher."""
    for office, (teacher, *others) in OFFICES.items():
        for word in world.held_out if not others else ():
            text = world.style(office, word)
            yield Asked(STYLE, teacher, _behavior(office, _say(word), text))


def _say(word: str) -> Question:
    return Question("style", f"say {word}", ())


@torch.no_grad()
def _said(student: Policy, place: str, question: Question) -> str:
    options = [_behavior(place, question, answer) for answer in question.answers]
    batch = encode(options, ChatTokens(student.tokenizer), None)
    logits_NV = chosen_logits(student.model, batch.tokens)
    scores_B = batch.total(token_log_probs(logits_NV, batch.tokens.tokens_N))
    return question.answers[int(scores_B.argmax())]


def _behavior(place: str, question: Question, answer: str) -> Behavior:
    return Behavior.model_validate(
        {
            "name": f"{place}: {question.text}",
            "prompt": messages(place, question.text),
            "response": answer,
            "domain": place,
        }
    )
