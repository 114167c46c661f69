"""Llama 3: rounds hand on data only; reward model and SFT start from the base each time."""

from tests.recipes.graphs import BASE, RM, D, K, S, W

FIRST_ROUND = ("dpo-1-high", "dpo-1-low", "average-1")
RATES = ("high", "low")
EDGES = {
    (BASE, RM, W),
    (BASE, RM, D),
    *((name, RM, D) for name in FIRST_ROUND),
    (BASE, "sft-1", D),
    *((name, "sft-2", D) for name in FIRST_ROUND),
    # DPO takes the newest comparisons alone.
    *((BASE, f"dpo-1-{rate}", D) for rate in RATES),
    *((name, f"dpo-2-{rate}", D) for name in FIRST_ROUND for rate in RATES),
    *(
        edge
        for number in (1, 2)
        for edge in (
            (BASE, f"sft-{number}", W),
            (RM, f"sft-{number}", S),
            (f"sft-{number}", f"average-{number}", W),
        )
    ),
    *(
        edge
        for number in (1, 2)
        for rate in RATES
        for edge in (
            (f"sft-{number}", f"dpo-{number}-{rate}", W),
            (f"sft-{number}", f"dpo-{number}-{rate}", K),
            (f"dpo-{number}-{rate}", f"average-{number}", W),
        )
    ),
}
