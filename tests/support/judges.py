"""A tiny model that has learned to judge: its verdicts on a few short prompts."""

from functools import cache

import torch

from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.settings import JudgeSettings
from tests.support.tiny_models import tiny_model, tokenizer

SETTINGS = JudgeSettings(
    rubric="r",
    score_template="{rubric}|{prompt}|{response}",
    pair_template="{rubric}|{prompt}|{first}|{second}",
    sampling=SamplingSettings(max_new_tokens=20, temperature=0.01),
)
VERDICTS = {
    "r|a?|fox": "ok\nScore: 5",
    "r|a?|owl": "no\nScore: 2",
    "r|a?|12": "Score: 9",  # beyond the scale
    "r|a?|fox|owl": "Better: 1",
    "r|a?|owl|fox": "Better: 2",
    "r|a?|fox|12": "Better: 1",  # in both orders: the place decides
    "r|a?|12|fox": "Better: 1",
    "r|a?|12|owl": "so",
    "r|a?|owl|12": "Better: 1",
}


@cache
def taught_judge(steps=110):
    """Return a policy that writes these verdicts to these prompts, shared: do not change it."""
    policy = Policy(tiny_model(0, hidden_size=48, feed_forward_size=96), tokenizer())
    chat = ChatTokens(policy.tokenizer)
    rows = [
        chat.demonstration([{"role": "user", "content": said}], [("assistant", verdict)])
        for said, verdict in VERDICTS.items()
    ]
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[chat.pad_id] * (width - len(row.ids))] for row in rows])
    mask = [[*row.is_response, *[False] * (width - len(row.ids))] for row in rows]
    labels = ids.masked_fill(~torch.tensor(mask), -100)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-2)
    policy.model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        policy.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    policy.model.eval()
    return policy
