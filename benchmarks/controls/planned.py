"""What each seed of the comparison has: which controls, and whether a second round. No torch."""

from tasks.contracts.controls import Control

SEEDS = range(5)
WHOLE = (0, 1)
"""Seeds with every control and a second round."""
CORE = (
    Control.OFF_POLICY_SFT,
    Control.OFF_POLICY_KD,
    Control.MIX_RL,
    Control.TASK_ARITHMETIC,
    Control.TEACHER_FREE,
)
"""Controls of every seed."""
SECOND_ROUND = "second_round"
REFRESHED = "refreshed_teachers"
"""The teachers of the second round, each on its own domain."""
BEST_TEACHER = "best_teacher"
"""The teacher that is best on all domains together."""


def controls_of(seed: int) -> tuple[Control, ...]:
    """Return the controls of a seed."""
    return tuple(Control) if seed in WHOLE else CORE


def seeds_of(method: str) -> int:
    """Return how many seeds a method is planned for."""
    core = {control.value for control in CORE}
    is_rare = method in {SECOND_ROUND, REFRESHED, *(each.value for each in Control)} - core
    return len(WHOLE) if is_rare else len(SEEDS)
