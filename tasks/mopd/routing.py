"""Which teacher scores which rollout: by the prompt's domain, by name, never by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.rollout.collect import Rollout


@dataclass(frozen=True)
class Routing:
    """The teacher of each domain."""

    teacher_of: Mapping[str, str]
    """Domain to the teacher's name."""

    def check(self, domains: Sequence[str], teachers: Sequence[str]) -> None:
        """Refuse, before the first rollout, a route that could go wrong silently.

        Raises:
            ValueError: for a domain without a teacher, a teacher that no domain is routed to, or
                a route to a teacher that is not there.
        """
        unrouted = sorted(set(domains) - set(self.teacher_of))
        if unrouted:
            raise ValueError(
                f"domains {unrouted} have prompts but no teacher: add a teacher for each, or "
                f"leave their prompts out (routed: {sorted(self.teacher_of)})"
            )
        absent = sorted(set(self.teacher_of.values()) - set(teachers))
        if absent:
            raise ValueError(
                f"the routing names teachers {absent} that are not loaded (loaded: "
                f"{sorted(teachers)}): release them or correct the routing"
            )
        used = {self.teacher_of[domain] for domain in domains}
        idle = sorted(set(teachers) - used)
        if idle:
            raise ValueError(
                f"teachers {idle} would score nothing, because no domain with prompts is routed "
                "to them: drop them, or give their domain prompts"
            )

    def teacher(self, rollout: Rollout) -> str:
        """Return the teacher of a rollout; an unknown label is an error, never a fallback."""
        try:
            return self.teacher_of[rollout.domain]
        except KeyError:
            raise ValueError(
                f"prompt {rollout.prompt.id!r} has the domain {rollout.domain!r}, which is not "
                f"routed to any teacher (routed: {sorted(self.teacher_of)})"
            ) from None
