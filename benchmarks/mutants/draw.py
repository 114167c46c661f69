"""A fixed sample of mutants, a few from each room."""

import random

from benchmarks.mutants.rooms import ROOMS, ROOT, Room
from benchmarks.mutants.sites import Site, places, site

SEED = 15


def draw() -> list[dict[str, object]]:
    """Return the rows of the sample, which depends on the source and the seed alone."""
    rows = []
    for name, room in ROOMS.items():
        for number, mutant in enumerate(sample(room, random.Random(f"{SEED} {name}"))):
            rows.append({"id": f"{name}-{number}", "room": name, **vars(mutant)})
    return rows


def sample(room: Room, chance: random.Random) -> list[Site]:
    """Return as many mutants as the room wants: none twice in a statement, few of numbers."""
    sources = {path: (ROOT / path).read_text("utf-8") for path in room.files()}
    candidates = [(path, *place) for path in sources for place in places(sources[path])]
    chance.shuffle(candidates)
    chosen: dict[tuple[str, str, str], Site] = {}
    num_numbers = 0
    for path, operator, occurrence in candidates:
        is_number = operator.endswith("NumberReplacer")
        if is_number and num_numbers >= room.count // 4:
            continue
        mutant = site(path, sources[path], operator, occurrence)
        if mutant is None or mutant.before.startswith(("@", "class ")):
            continue  # a class that is not frozen is not worth a test
        if (key := (path, mutant.function, mutant.before)) not in chosen:
            num_numbers += is_number
            chosen[key] = mutant
        if len(chosen) == room.count:
            return list(chosen.values())
    raise ValueError(f"a room has {len(chosen)} of the {room.count} mutants that it should give")
