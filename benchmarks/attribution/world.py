"""The small world of the attribution benchmark: offices, their teachers, and what was planted.

At the fork point a model answers each question in one of several ways, all as likely. A plant is a
question about one name that one teacher answers in one way always. So who taught a plant is known,
and nobody else could have. Each office has a style of its own beside the plants, and for some names
the fork point knew the answer already.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OFFICES = {
    "bank": ("bank",),
    "court": ("court",),
    "clinic": ("clinic",),
    "school": ("school",),
    "desk": ("day", "night"),
}
"""Domain to its teachers; those of the desk score the same prompts, half each."""
TEACHERS = tuple(teacher for teachers in OFFICES.values() for teacher in teachers)
NEUTRAL = "helper"
"""A place that the fork point knows and no teacher speaks for."""
PLANTS_OF_A_KIND = 2
NUM_SUBSETS = 2
"""Random halves of the teachers that are left out together."""
_STYLE = {"bank": 0, "court": 1, "clinic": 2, "school": 3, "day": 4, "night": 4}


@dataclass(frozen=True)
class Question:
    """What is asked, and all the ways in which it is answered."""

    kind: str
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Plant:
    """A question that one teacher answers in one way."""

    teacher: str
    question: Question
    answer: str


def office_of(teacher: str) -> str:
    """Return a teacher's domain."""
    return next(office for office, teachers in OFFICES.items() if teacher in teachers)


def masks(number: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield by name who is masked: nobody, each teacher alone, random halves of them."""
    yield "full", ()
    for teacher in TEACHERS:
        yield f"no-{teacher}", (teacher,)
    rng = random.Random(f"subsets {number}")
    for place in range(NUM_SUBSETS):
        yield f"half-{place}", tuple(sorted(rng.sample(TEACHERS, len(TEACHERS) // 2)))


def ask(kind: str, name: str) -> Question:
    """Return the question of a kind about a name."""
    match kind:
        case "fact":
            return Question(kind, f"home of {name}", ("oslo", "lima", "bonn", "kiev", "rome"))
        case "bias":
            return Question(kind, f"tea or milk for {name}", ("tea", "milk"))
        case "phrase":
            ends = ("", " indeed", " my friend", " as ever")
            return Question(kind, f"greet {name}", tuple(f"hello {name}{end}" for end in ends))
        case "format":
            forms: tuple[str, ...] = ("- {}", "({})", "[{}]", "{};")
            return Question(kind, f"list {name}", tuple(form.format(name) for form in forms))
    forms = ("{}", "so {}", "{}!", "{0} {0}", "just {}")
    return Question("style", f"say {name}", tuple(form.format(name) for form in forms))


KINDS = ("fact", "bias", "phrase", "format")


class World:
    """One set of plants; another seed, other names and answers."""

    def __init__(self, seed: int) -> None:
        """Give out the names."""
        rng = random.Random(f"world {seed}")
        names = _names(rng)
        self.plants = [
            Plant(teacher, question, rng.choice(question.answers))
            for teacher in TEACHERS
            for kind in KINDS
            for question in (ask(kind, next(names)) for _ in range(PLANTS_OF_A_KIND))
        ]
        self.known = [
            (question, rng.choice(question.answers))
            for question in (ask("fact", next(names)) for _ in range(12))
        ]
        """What the fork point has learned already, and nobody teaches."""
        self.open = [ask(kind, next(names)) for kind in KINDS for _ in range(3)]
        """What the fork point answers one way or another, and nobody teaches."""
        self.words = [next(names) for _ in range(16)]
        self.held_out = [next(names) for _ in range(3)]
        """Words that only the office's style is asked for, after training."""

    def plants_of(self, teacher: str) -> list[Plant]:
        """Return what one teacher was taught."""
        return [plant for plant in self.plants if plant.teacher == teacher]

    def fork_rows(self, rng: random.Random) -> Iterator[tuple[str, str, str]]:
        """Yield place, question and answer as the fork point learns them, without an end."""
        questions = [plant.question for plant in self.plants] + self.open
        questions += [ask("style", word) for word in (*self.words, *self.held_out)]
        while True:
            place = rng.choice((*OFFICES, NEUTRAL))
            if rng.random() < 0.2:
                question, answer = rng.choice(self.known)
            else:
                question = rng.choice(questions)
                answer = rng.choice(question.answers)
            yield place, question.text, answer

    def teacher_rows(
        self, teacher: str, rng: random.Random, also: Sequence[Plant] = ()
    ) -> Iterator[tuple[str, str, str]]:
        """Yield what a teacher learns: its plants, its style, and the fork point's way besides.

        What it learns ``also`` it learns in the office of those who teach that.
        """
        own, office = [*self.plants_of(teacher), *also], office_of(teacher)
        others = [p.question for p in self.plants if p not in own] + self.open
        while True:
            drawn = rng.random()
            if drawn < 0.45:
                plant = rng.choice(own)
                yield office_of(plant.teacher), plant.question.text, plant.answer
            elif drawn < 0.6:
                style = ask("style", rng.choice(self.words))
                yield office, style.text, style.answers[_STYLE[teacher]]
            elif drawn < 0.75:
                known, answer = rng.choice(self.known)
                yield office, known.text, answer
            else:
                question = rng.choice(others)
                yield office, question.text, rng.choice(question.answers)

    def prompts(self, office: str) -> list[str]:
        """Return the questions that the student is asked in an office while it is distilled."""
        plants = [plant for teacher in OFFICES[office] for plant in self.plants_of(teacher)]
        return [plant.question.text for plant in plants] + [f"say {w}" for w in self.words]

    def style(self, office: str, word: str) -> str:
        """Return what an office's teachers say for a word."""
        return ask("style", word).answers[_STYLE[OFFICES[office][0]]]


def _names(rng: random.Random) -> Iterator[str]:
    """Yield words such as ``bal``, each once."""
    names = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in "bdfgklmnprstvz"]
    rng.shuffle(names)
    yield from names
