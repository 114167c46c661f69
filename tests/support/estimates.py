"""A round with numbers that are easy to count by hand."""

from dataclasses import replace

from tasks.estimate.layouts import Fit, MemoryLimits
from tasks.estimate.shape import Shape
from tasks.estimate.work import RankWork
from tasks.ledger.schema import LedgerSettings
from tasks.model.settings import Precision
from tasks.onpolicy.settings import LoopSettings, Workload

SHAPE = Shape(
    name="small",
    num_layers=3,
    hidden=10,
    attended=20,
    key_value=10,
    feed_forward=30,
    vocabulary=100,
    layers=4500,
    layer=1500,
    embedding=1000,
    rest=10,
    head=1000,
    unread=0,
    adapted=600,
    adapted_inputs=200,
    largest=1000,
    norms_heads=False,
    saved_bytes=2,
)
"""6510 parameters, 5510 of them in the body."""
LOAD = Workload(
    loop=LoopSettings(num_steps=20, learning_rate=1e-3, precision=Precision.BF16),
    ledger=LedgerSettings(),
    rounds=1,
    prompts_per_domain=8,
    rollouts_per_prompt=2,
    max_new_tokens=6,
    has_outcome=False,
)
WORK = RankWork(
    student=SHAPE,
    teachers=(SHAPE, SHAPE),
    load=LOAD,
    num_ranks=1,
    ranks_per_node=4,
    on_gpu=True,
    prompt_tokens=4,
    domains=2,
)


def work(loop=None, ledger=None, load=None, **changes):
    """Return the round with other settings of its loop, its ledger, its load or itself."""
    changed = LOAD.model_copy(
        update={
            "loop": LOAD.loop.model_copy(update=loop or {}),
            "ledger": LOAD.ledger.model_copy(update=ledger or {}),
            **(load or {}),
        }
    )
    return replace(WORK, load=changed, **changes)


def fit(device, host=1 << 40, **changes):
    """Return the round beside limits in bytes."""
    return Fit(work(**changes), MemoryLimits("a flavor", device, host))
