"""Comparisons of short answers, written by hand, for the stages that learn from preferences."""

from tasks.rollout.environment import Message, Turn
from tasks.rollout.responses import PreferencePair, Strength


def pair(chosen="46", rejected="12", prompt="12+34", **changed):
    """Return a comparison of two answers to a prompt; its id is its text."""
    given = {
        "domain": "helpful",
        "prompt": prompt,
        "messages": (Message("user", prompt),),
        "chosen": turns(chosen),
        "rejected": turns(rejected),
        "strength": Strength.BETTER,
        "source": "annotator",
    }
    return PreferencePair(**given | changed)


def turns(answer):
    """Return an answer as the model's only turn; turns are taken as they are."""
    return (Turn("assistant", answer),) if isinstance(answer, str) else answer


def long_over_short(prompts=range(10, 26)):
    """Return a comparison of each prompt, in which an answer that repeats itself is chosen."""
    return [pair(f"{n} {n} {n}", str(n), f"{n}+1") for n in prompts]
