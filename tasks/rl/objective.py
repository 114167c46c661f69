"""Reinforcement learning as an objective of the on-policy loop: an advantage, and how it is used.

The advantage is a part of its own (``grpo``, ``ppo``). What is the same for all of them is here:
rewards and what is left out, the ratio and its bounds, and the KL to a reference.

Shapes: C response tokens of a chunk, N of a microbatch, V vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from pydantic import JsonValue
from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.distributed.sharding import replica
from tasks.onpolicy.feature_checks import FeatureChecks
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.step_metrics import MomentSums
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.hint import HINT, HINTED, hint_loss
from tasks.rl.hint_settings import HintSettings
from tasks.rl.kl import REFERENCE, estimate_kl, kl_loss
from tasks.rl.mechanisms import mechanisms
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.pretraining import PRETRAINING, pretraining_loss
from tasks.rl.settings import RlSettings
from tasks.rl.surrogate import OLD, negative_rollouts, surrogate
from tasks.rl.token_numbers import Numbers, token_numbers
from tasks.rl.variants import KlPlace, RatioBase
from tasks.rollout.collect import Rollout

OUTCOME = "outcome"


class Reinforcement:
    """The objective of RL."""

    def __init__(self, settings: RlSettings, tools: PolicyTools | None = None) -> None:
        """Take the tools that the settings need; without tools, grades compare in groups."""
        self._settings = settings
        self._tools = tools or PolicyTools(GroupAdvantage(settings.advantage))
        self._advantage = self._tools.advantage
        self.feature_checks = FeatureChecks(mechanisms(settings))
        self._configured = set(self.feature_checks.names)
        self._entropy = MomentSums()
        self._upper = 0.0
        self.tokens = 0
        """Tokens that were learned from so far, once for each epoch."""
        self._learned_steps = 0

    @property
    def sources(self) -> list[str]:
        """The outcome reward; hints and pretraining rows if there are any."""
        beside = {HINT: self._settings.hint, PRETRAINING: self._settings.pretraining}
        return [OUTCOME, *(name for name, settings in beside.items() if settings is not None)]

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Give each rollout that is learned from its advantage and its numbers of tokens."""
        judged = [self._tools.judge(rollout) for rollout in rollouts]
        for name, magnitude in self._tools.activity().items():
            self._record(name, magnitude)
        self._record("zero_variance", _share(one.dropped for one in judged))
        self._record("overlong", _share(one.overlong > 0 for one in judged))
        kept = [(r, one) for r, one in zip(rollouts, judged, strict=True) if not one.dropped]
        chosen = [rollout for rollout, _ in kept]
        of_reference = self._reference(chosen)
        penalties = self._penalties(chosen, of_reference)
        scored = self._advantage.score(chosen, [one.reward for _, one in kept], penalties)
        numbers = self._numbers(chosen, of_reference)
        learned = [
            replace(item, numbers={**item.numbers, **own})
            for item, own, (_, one) in zip(scored, numbers, kept, strict=True)
            if not one.filtered
        ]
        if learned:
            learned += self._tools.beside()
        epochs = self._settings.loop.inner_epochs
        self._learned_steps += bool(learned)
        self.tokens += epochs * sum(item.rollout.num_response_tokens for item in learned)
        return learned

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Forget the last step's entropy; all else came with the rollouts."""
        self._entropy = MomentSums()

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the policy-gradient loss of the microbatch's tokens, and the KL's."""
        if batch.term == PRETRAINING:
            assert self._settings.pretraining is not None
            return pretraining_loss(batch, self._settings.pretraining.coefficient)
        left_out_N, hint = self._left_out(batch), self._hint_of(batch)
        coefficients_N = self._coefficients(batch)

        def losses(student_CV: Tensor, chunk: slice) -> TokenLoss:
            student_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
            taken = surrogate(
                student_C,
                batch,
                chunk,
                self._settings.ratio,
                self._settings.importance,
                self._upper,
            )
            loss_C, report = taken.loss_C, dict(taken.report)
            if left_out_N is not None:
                report["negative_mask"] = left_out_N[chunk].float()
                loss_C = loss_C.masked_fill(left_out_N[chunk], 0.0)
            if self._settings.kl is not None and coefficients_N is not None:
                reference_C = batch.numbers_N[REFERENCE][chunk]
                kl_C, report["kl"] = kl_loss(
                    student_C, reference_C, taken, self._settings.kl.estimator
                )
                loss_C = loss_C + coefficients_N[chunk] * kl_C
            by_source, advantages = {OUTCOME: loss_C}, {OUTCOME: batch.outcome_advantages_N[chunk]}
            if hint is not None:
                by_source[HINT], advantages[HINT] = hint_loss(
                    student_C, batch, chunk, taken.weight_C, hint
                )
                report["hint_advantage"] = advantages[HINT]
            self._watch(student_CV, report)
            return TokenLoss(by_source, report, advantages)

        return losses

    def _watch(self, student_CV: Tensor, report: Mapping[str, Tensor]) -> None:
        """Keep what a chunk's mechanisms did, and the entropy that an adaptive clip follows."""
        clip = self._settings.ratio.clip
        if clip is not None and clip.adaptive is not None:
            self._entropy.add("entropy", _entropy(student_CV))
        for name, values_C in report.items():
            self._record(name, values_C.mean())

    def end_step(self, step: int) -> dict[str, float]:
        """Return what the mechanisms did, and change what changes from step to step. Collective."""
        metrics = self._advantage.end_step(step) | self._adapt()
        kl, tools = self._settings.kl, self._tools
        if kl is not None and kl.reset_every:
            due = step % kl.reset_every == 0
            self._record("reset", float(due))
            if due:
                assert tools.reference is not None
                assert tools.policy is not None
                with replica(tools.policy):
                    tools.reference.become(tools.policy)
        # A step that left out all of its rollouts evaluated no bound and no KL.
        return metrics | self.feature_checks.end_step(self._learned_steps)

    def state(self) -> dict[str, JsonValue]:
        """Return the bound of an adaptive clip, the activity of the mechanisms, and the cost."""
        return {
            "upper": self._upper,
            "mechanisms": self.feature_checks.state(),
            "tokens": self.tokens,
            "learned_steps": self._learned_steps,
        }

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        checks = state["mechanisms"]
        assert isinstance(checks, dict)
        self._upper, self.tokens = float(str(state["upper"])), int(str(state["tokens"]))
        self._learned_steps = int(str(state["learned_steps"]))
        self.feature_checks.load_state(checks)

    def _record(self, name: str, magnitude: Tensor | float) -> None:
        if name in self._configured:
            self.feature_checks.record(name, magnitude)

    def _reference(self, rollouts: Sequence[Rollout]) -> list[Numbers]:
        if self._tools.reference is None:
            return []
        return token_numbers(rollouts, self._tools.reference.log_probs, self._tools.pad_id)

    def _penalties(
        self, rollouts: Sequence[Rollout], of_reference: Sequence[Numbers]
    ) -> list[Numbers]:
        """Return the KL penalty of each token, where the KL is placed in the reward.

        The policy's log-probabilities are the sampler's, with which the tokens were drawn.
        """
        kl = self._settings.kl
        if kl is None or kl.place is not KlPlace.REWARD:
            return [()] * len(rollouts)
        penalties = []
        for rollout, reference in zip(rollouts, of_reference, strict=True):
            log_ratio = torch.tensor(reference) - torch.tensor(_sampled(rollout))
            values = estimate_kl(log_ratio, kl.estimator)
            self._record("kl", values.mean() if len(values) else 0.0)
            penalties.append(tuple((kl.of(rollout.domain) * values).tolist()))
        return penalties

    def _numbers(
        self, rollouts: Sequence[Rollout], of_reference: Sequence[Numbers]
    ) -> list[dict[str, Numbers]]:
        """Return the numbers that a microbatch of each rollout needs."""
        found: list[dict[str, Numbers]] = [{} for _ in rollouts]
        settings, tools = self._settings, self._tools
        if of_reference and settings.kl is not None and settings.kl.place is KlPlace.LOSS:
            for own, numbers in zip(found, of_reference, strict=True):
                own[REFERENCE] = numbers
        if tools.hints is not None:
            for own, of_hint in zip(found, tools.hints(rollouts), strict=True):
                own |= of_hint
        if settings.ratio.base is RatioBase.OLD and settings.loop.updates_per_step > 1:
            assert tools.log_probs is not None
            assert tools.policy is not None
            with replica(tools.policy):
                old = token_numbers(rollouts, tools.log_probs, tools.pad_id)
            for own, numbers in zip(found, old, strict=True):
                own[OLD] = numbers
        return found

    def _left_out(self, batch: Microbatch) -> Tensor | None:
        delta = self._settings.ratio.negative_mask
        return negative_rollouts(batch, delta) if delta is not None else None

    def _hint_of(self, batch: Microbatch) -> HintSettings | None:
        """Return the settings of hints if a turn of the microbatch has one."""
        hint = self._settings.hint
        if hint is None:
            return None
        self._record(HINTED, batch.numbers_N[HINTED].mean())
        return hint if bool(batch.numbers_N[HINTED].any()) else None

    def _coefficients(self, batch: Microbatch) -> Tensor | None:
        """Return the coefficient of the KL in the loss of each token [N]."""
        kl = self._settings.kl
        if kl is None or kl.place is not KlPlace.LOSS:
            return None
        of_tokens = [
            kl.of(item.rollout.domain)
            for item in batch.items
            for _ in range(item.rollout.num_response_tokens)
        ]
        return torch.tensor(of_tokens, device=batch.weights_N.device)

    def _adapt(self) -> dict[str, float]:
        """Move the bound of an adaptive clip by the sign of the entropy's distance."""
        clip = self._settings.ratio.clip
        if clip is None or clip.adaptive is None:
            return {}
        moments = self._entropy.moments()
        metrics = {"clip_upper": self._upper}
        if "entropy" in moments:
            adaptive, entropy = clip.adaptive, moments["entropy"].mean
            metrics["entropy"] = entropy
            sign = (adaptive.entropy > entropy) - (adaptive.entropy < entropy)
            self._upper = max(0.0, min(adaptive.most, self._upper + adaptive.step * sign))
        return metrics


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / max(1, len(found))


def _sampled(rollout: Rollout) -> list[float]:
    flags = zip(rollout.sampler_log_probs, rollout.is_response, strict=True)
    return [log_prob for log_prob, written in flags if written]


def _entropy(student_CV: Tensor) -> Tensor:
    log_CV = student_CV.detach().log_softmax(-1)
    return -(log_CV.exp() * log_CV).sum(-1)
