"""A step of one rank, on paper: its sizes, its settings, and what the estimate says of it."""

from dataclasses import dataclass, replace

from transformers import AutoConfig, PretrainedConfig

from tasks.estimate.memory import held_all_the_time, kept, phases
from tasks.estimate.presets import PRESETS
from tasks.estimate.shape import shape_of
from tasks.estimate.work import RankWork
from tasks.ledger.schema import LedgerSettings
from tasks.model.settings import AdapterSettings, Precision
from tasks.onpolicy.settings import LoopSettings, Workload
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt

HELD, _PASS = "held", "teacher's pass"
COUNTED = (HELD, _PASS, "heads and loss", "backward", "update", "ledger's probes")
"""What is held all the time, and the phases that the estimate has too."""


@dataclass(frozen=True)
class Paper:
    """A step of one rank."""

    preset: str
    num_teachers: int
    num_ranks: int
    """At least 2."""
    displacements: bool = True
    num_layers: int = 0
    """Number of layers; 0 for the preset's own."""
    microbatch_tokens: int = 8192
    prompt_tokens: int = 512
    new_tokens: int = 1536
    shares_teachers: bool = False
    """Whether the ranks share the teacher, or each has it whole."""
    lora_rank: int = 0
    """Rank of the student's adapters; 0 where all weights are trained."""
    checkpointing: bool = True

    @property
    def rows(self) -> int:
        """Rollouts of a microbatch."""
        return self.microbatch_tokens // (self.prompt_tokens + self.new_tokens)


_LARGE = Paper("qwen3-32b", 12, 64)
_TOGETHER = replace(_LARGE, shares_teachers=True, checkpointing=False)
PAPERS = (
    replace(_LARGE, num_ranks=8),
    replace(_LARGE, num_ranks=16),
    _LARGE,
    _TOGETHER,
    Paper("llama-3.1-70b", 4, 64, shares_teachers=True, lora_rank=16, checkpointing=False),
)
"""What is counted: students of 32 and 70 B, teachers whole and shared, with all of the rest."""


def config_of(paper: Paper) -> PretrainedConfig:
    """Return the model's config, perhaps with fewer layers."""
    preset = PRESETS[paper.preset]
    numbers = dict(preset.numbers)
    if paper.num_layers:
        numbers["num_hidden_layers"] = paper.num_layers
    return AutoConfig.for_model(preset.model_type, **numbers)


def settings_of(paper: Paper) -> LoopSettings:
    """Return the settings of the loop."""
    return LoopSettings(
        num_steps=1,
        learning_rate=1e-4,
        precision=Precision.BF16,
        activation_checkpointing=paper.checkpointing,
        adapter=AdapterSettings(rank=paper.lora_rank, alpha=2 * paper.lora_rank)
        if paper.lora_rank
        else None,
        microbatch_tokens=paper.microbatch_tokens,
    )


def rollouts_of(paper: Paper, domain: str) -> list[Rollout]:
    """Return a full microbatch of one teacher's rollouts for each rank."""
    chosen = (False,) * paper.prompt_tokens + (True,) * paper.new_tokens
    prompt, count = Prompt("p", (Message("user", ""),), {}), paper.rows * paper.num_ranks
    return [
        Rollout(
            domain=domain,
            prompt=prompt,
            turns=(),
            grade=Grade(1.0),
            # Rows without a common beginning.
            ids=(place, *range(1, len(chosen))),
            is_response=chosen,
            sampler_log_probs=(0.0,) * len(chosen),
            truncated=False,
        )
        for place in range(count)
    ]


def work_of(paper: Paper) -> RankWork:
    """Return what the estimate takes for the same step."""
    shape = shape_of(config_of(paper), paper.preset)
    loop = settings_of(paper)
    load = Workload(
        loop=loop,
        ledger=LedgerSettings(displacements=paper.displacements),
        rounds=1,
        prompts_per_domain=paper.rows * paper.num_ranks,
        rollouts_per_prompt=1,
        max_new_tokens=paper.new_tokens,
        has_outcome=False,
        teachers_sharded=paper.shares_teachers,
    )
    return RankWork(
        student=shape,
        teachers=(shape,) * paper.num_teachers,
        load=load,
        num_ranks=paper.num_ranks,
        ranks_per_node=8,
        on_gpu=True,
        prompt_tokens=paper.prompt_tokens,
        domains=paper.num_teachers,
    )


def estimated(paper: Paper) -> dict[str, int]:
    """Return what the estimate says of the same phases, with activations as a CPU keeps them."""
    work = work_of(paper)
    found = {phase.name: phase.total for phase in phases(work) if phase.name in COUNTED}
    more = kept(replace(work, on_gpu=False))["activations"] - kept(work)["activations"]
    for phase in ("heads and loss", "backward", *([] if paper.shares_teachers else [_PASS])):
        found[phase] += more
    return {HELD: sum(held_all_the_time(work).values()), **found}


def kept_whole(paper: Paper) -> int:
    """Return the bytes of whole models that FSDP lets go of, and FakeTensorMode alone keeps.

    It keeps the student as it was before it was cut, and the body of a teacher that ranks share.
    """
    work = work_of(paper)
    student = work.student.total * 4
    if paper.lora_rank:
        student = work.student.total * work.compute_bytes + 4 * work.trained
    teacher = work.largest_teacher
    return student + (teacher.saved_bytes * teacher.body if paper.shares_teachers else 0)
