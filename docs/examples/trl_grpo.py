"""A climb by TRL's GRPOTrainer: copy it into your team's folder as ``train.py``.

It keeps the contract of ``tasks/rl/external.py``: it reads the job file that its argument names,
grades with the team's own environment in its confined worker, goes on from its last checkpoint,
and leaves ``step-N`` for each rung. Every setting of GRPOConfig can be set in the team's
``ExternalTrainer.settings``.
"""

import json
import shutil
import sys
from pathlib import Path

from datasets import Dataset
from transformers import AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from tasks.model.system_prompt import with_system_prompt
from tasks.rollout.client import Episode
from tasks.rollout.environment import Turn
from tasks.rollout.prompts import read_prompts
from tasks.rollout.worker.client import EnvironmentWorker


def train(job: dict) -> None:
    """Train as the job says, and leave its rungs."""
    with EnvironmentWorker(Path(job["environment"]), domain=job["domain"]) as worker:
        if worker.max_turns > 1:  # the reward would grade the first turn as if it were all
            sys.exit(f"{job['domain']} has {worker.max_turns} turns, and this trainer plays one")
        _train(job, worker)


def _train(job: dict, worker: EnvironmentWorker) -> None:
    output, rungs, sampling = Path(job["output"]), job["rungs"], job["sampling"]
    system = job["system_prompt"]  # only the teacher sees it; "" for none
    prompts = {prompt.id: prompt for prompt in read_prompts(Path(job["prompts"]))}
    rows = [
        {"prompt": with_system_prompt(list(map(vars, prompt.messages)), system), "id": prompt.id}
        for prompt in prompts.values()
    ]
    arguments = GRPOConfig(
        output_dir=str(output / "trainer"),
        max_steps=rungs[-1],
        save_steps=1,
        seed=job["seed"],
        temperature=sampling["temperature"],
        max_completion_length=sampling["max_new_tokens"],
        report_to=[],
        **job["settings"],
    )

    def reward(completions: list, id: list, **_: object) -> list[float]:
        said = [Turn("assistant", completion[0]["content"]) for completion in completions]
        episodes = [Episode(prompts[i], (turn,)) for i, turn in zip(id, said, strict=True)]
        return [grade.score for grade in worker.grade(episodes)]

    trainer = GRPOTrainer(
        model=job["start"],
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["start"]),
    )
    begun = output / "trainer"
    trainer.train(resume_from_checkpoint=get_last_checkpoint(begun) if begun.is_dir() else None)
    for step in rungs:
        shutil.copytree(begun / f"checkpoint-{step}", output / f"step-{step}", dirs_exist_ok=True)
    with (output / "metrics.jsonl").open("w") as file:
        for row in trainer.state.log_history:
            if "reward" in row:
                file.write(json.dumps({"step": row["step"], "reward": row["reward"]}) + "\n")


if __name__ == "__main__":
    train(json.loads(Path(sys.argv[1]).read_text("utf-8")))
