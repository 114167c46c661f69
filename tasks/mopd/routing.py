"""Which teachers score which rollout: by the prompt's domain and mode, never by position."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.contracts.refusal import RefusedError
from tasks.onpolicy.teacher_prompts import TeacherPrompts
from tasks.rollout.collect import Rollout

Label = tuple[str, str]
"""A prompt's domain and its thinking mode ("" for the template's own)."""


@dataclass(frozen=True)
class Route:
    """One teacher's share of a domain."""

    domain: str
    teacher: str
    """Name of the teacher; it is bound to a digest when the teachers are loaded."""
    share: float = 1.0
    """Share of the loss of each of the domain's rollouts."""
    mode: str | None = None
    """Thinking mode or effort of the prompts; None for all prompts of the domain."""


class Routing:
    """The teachers of each domain."""

    def __init__(self, routes: Iterable[Route], prompts: TeacherPrompts | None = None) -> None:
        """Take all routes, and the prompts as teachers with a system prompt read them.

        Raises:
            ValueError: if the shares of one label do not sum to 1, or a domain is routed both by
                mode and as a whole.
        """
        self._prompts = prompts
        self._by_label: dict[tuple[str, str | None], list[Route]] = defaultdict(list)
        for route in routes:
            self._by_label[route.domain, route.mode].append(route)
        for (domain, mode), sharing in self._by_label.items():
            total = sum(route.share for route in sharing)
            if abs(total - 1.0) > 1e-9:
                raise RefusedError(
                    "route-shares",
                    f"the teachers {[r.teacher for r in sharing]} of {_label_name(domain, mode)} "
                    f"have shares that sum to {total:g}: give each teacher a share, so that the "
                    "sum is 1",
                )
            if mode is not None and (domain, None) in self._by_label:
                raise RefusedError(
                    "route-both-ways",
                    f"the domain {domain!r} is routed as a whole and by the mode {mode!r}, so it "
                    "is ambiguous which teacher scores the prompts of that mode: name a mode on "
                    "each route",
                )

    @property
    def teachers(self) -> list[str]:
        """Every teacher that a route names, sorted."""
        return sorted({r.teacher for routes in self._by_label.values() for r in routes})

    def check(self, labels: Iterable[Label], teachers: Sequence[str]) -> None:
        """Refuse, before the first rollout, a route that would fail silently.

        Args:
            labels: Domain and mode of every prompt that may be sampled.
            teachers: The teachers that are loaded.

        Raises:
            ValueError: for prompts without a teacher, a teacher that no prompt is routed to, or a
                route to a teacher that is not there.
        """
        absent = sorted(set(self.teachers) - set(teachers))
        if absent:
            raise RefusedError(
                "teacher-not-loaded",
                f"the routing names teachers {absent} that are not loaded (loaded: "
                f"{sorted(teachers)}): release them or correct the routing",
            )
        used: set[str] = set()
        unrouted = []
        for label in sorted(set(labels)):
            routes = self._routes(label)
            used |= {route.teacher for route in routes}
            if not routes:
                unrouted.append(_label_name(*label))
        if unrouted:
            raise RefusedError(
                "domain-without-teacher",
                f"prompts of {unrouted} have no teacher: add a teacher for each, or leave their "
                f"prompts out (routed: {self._labels()})",
            )
        idle = sorted(set(teachers) - used)
        if idle:
            raise RefusedError(
                "teacher-without-domain",
                f"teachers {idle} would score nothing, because no domain with prompts is routed "
                "to them: drop them, or give their domain prompts",
            )

    def routes(self, rollout: Rollout) -> list[Route]:
        """Return the routes of a rollout; an unknown label is an error, never a fallback."""
        label = (rollout.domain, rollout.prompt.mode)
        routes = self._routes(label)
        if not routes:
            raise RefusedError(
                "domain-without-teacher",
                f"prompt {rollout.prompt.id!r} is of {_label_name(*label)}, which is not routed to "
                f"any teacher (routed: {self._labels()})",
            )
        return routes

    def teacher_prompt(self, route: Route, rollout: Rollout) -> tuple[int, ...]:
        """Return the prompt that the route's teacher reads; () for the student's own."""
        return self._prompts.ids(route.teacher, rollout.prompt) if self._prompts else ()

    def _routes(self, label: Label) -> list[Route]:
        domain, mode = label
        return self._by_label.get((domain, mode)) or self._by_label.get((domain, None)) or []

    def _labels(self) -> str:
        return ", ".join(sorted(_label_name(*label) for label in self._by_label)) or "nothing"


def _label_name(domain: str, mode: str | None) -> str:
    return f"{domain!r} in mode {mode!r}" if mode else repr(domain)
