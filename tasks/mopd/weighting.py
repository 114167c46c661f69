"""Relative weights of the teachers' tokens, by published rules or none.

Published work disagrees on the sign: Open-MOPD gives more weight to a starved domain, DN-MOPD gives
less to a noisy one. So each rule is a choice, to be measured on your own domains
(``benchmarks/step/balance.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from tasks.contracts.refusal import RefusedError
from tasks.mopd.settings import Balance, BalanceSettings
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import Normalization
from tasks.onpolicy.step_metrics import TokenMoments

LEAST_GAP, MOST_GAP = 0.05, 20.0
"""Clip range of the gap rule, Open-MOPD (2608.19098) section 4: beyond it a run collapsed."""
LEAST_SPREAD, MOST_SPREAD = 0.25, 4.0
"""Clip range of sigma_all / sigma_d, from DN-MOPD (2609.35347)."""
_MEMORY = 0.9
"""Decay of the running means, a memory of ten steps."""


@dataclass
class TeacherWeighting:
    """Computes each teacher's weight for a step, from the step's tokens and the steps before."""

    settings: BalanceSettings
    normalization: Normalization
    running: dict[str, TokenMoments] = field(default_factory=dict)

    def weights(self, scored: Sequence[ScoredRollout]) -> dict[str, float]:
        """Return the relative weight of each teacher's tokens for this step's rollouts."""
        teachers = sorted({item.teacher for item in scored})
        match self.settings.rule:
            case Balance.NONE:
                return dict.fromkeys(teachers, 1.0)
            case Balance.FIXED:
                return {teacher: self._fixed(teacher) for teacher in teachers}
            case Balance.TOKEN_SHARE:
                return _token_share(teachers, scored)
            case Balance.GAP:
                shares = (
                    _token_share(teachers, scored)
                    if self.normalization is not Normalization.SEQUENCE_MEAN
                    else dict.fromkeys(teachers, 1.0)  # a mean over sequences starves no teacher
                )
                gaps = self._gaps(teachers)
                return {teacher: shares[teacher] * gaps[teacher] for teacher in teachers}
            case Balance.DISPERSION:
                return self._dispersion(teachers)

    def end_step(self, moments: Mapping[str, TokenMoments]) -> None:
        """Add a step's log-ratios, log p_teacher - log p_student in nats, to the running means."""
        for teacher, now in moments.items():
            old = self.running.get(teacher)
            self.running[teacher] = now if old is None else _mixed(old, now)

    def state(self) -> dict[str, JsonValue]:
        """Return the running means."""
        return {teacher: list(vars(moments).values()) for teacher, moments in self.running.items()}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Restore a ``state``."""
        self.running = {}
        for teacher, numbers in state.items():
            assert isinstance(numbers, list)
            size, mean, square, tokens = (float(str(number)) for number in numbers)
            self.running[teacher] = TokenMoments(size, mean, square, tokens)

    def _fixed(self, teacher: str) -> float:
        try:
            return self.settings.weights[teacher]
        except KeyError:
            raise RefusedError(
                "teacher-without-weight",
                f"the balance has fixed weights for {sorted(self.settings.weights)} and none for "
                f"the teacher {teacher!r}: give each teacher a weight",
            ) from None

    def _gaps(self, teachers: Sequence[str]) -> dict[str, float]:
        """Return clamp(m_d / m_ref): a teacher farther from the student gets more weight."""
        known = {t: self.running[t].size for t in teachers if t in self.running}
        if not known or max(known.values()) == 0:
            return dict.fromkeys(teachers, 1.0)
        reference = sum(known.values()) / len(known)
        return {
            t: min(MOST_GAP, max(LEAST_GAP, known.get(t, reference) / reference)) for t in teachers
        }

    def _dispersion(self, teachers: Sequence[str]) -> dict[str, float]:
        """Return clip(sigma_all / sigma_d): more scattered log-ratios get less weight."""
        known = {t: self.running[t] for t in teachers if t in self.running}
        tokens = sum(moments.tokens for moments in known.values())
        if not tokens:
            return dict.fromkeys(teachers, 1.0)
        mean = sum(c.mean * c.tokens for c in known.values()) / tokens
        square = sum(c.square * c.tokens for c in known.values()) / tokens
        pooled = max(0.0, square - mean**2) ** 0.5
        return {
            t: min(MOST_SPREAD, max(LEAST_SPREAD, pooled / known[t].variance ** 0.5))
            if t in known and known[t].variance > 0
            else 1.0
            for t in teachers
        }


def _token_share(teachers: Sequence[str], scored: Sequence[ScoredRollout]) -> dict[str, float]:
    """Return g* / s_d: equal target shares over each teacher's share of the step's tokens."""
    tokens = dict.fromkeys(teachers, 0.0)
    for item in scored:
        tokens[item.teacher] += item.share * item.rollout.num_response_tokens
    total = sum(tokens.values())
    return {t: total / (len(teachers) * tokens[t]) if tokens[t] else 1.0 for t in teachers}


def _mixed(old: TokenMoments, now: TokenMoments) -> TokenMoments:
    pairs = zip(vars(old).values(), vars(now).values(), strict=True)
    return TokenMoments(*(_MEMORY * before + (1 - _MEMORY) * after for before, after in pairs))
