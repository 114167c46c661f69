"""A smaller base of another family, with its own tokenizer, for recipes that distil into one."""

from tasks.model.settings import ScratchSettings
from tasks.sft.settings import BaseSettings, SftSettings

SMALL = BaseSettings(
    # ours: a third of the testbed's weights, and words in more pieces
    scratch=ScratchSettings(
        vocabulary_size=512, hidden_size=96, num_layers=3, feed_forward_size=256, thinking=True
    ),
    num_documents=2500,
    row_tokens=192,
    reads_demonstrations=True,
    training=SftSettings(num_steps=300, batch_size=16, learning_rate=1e-2, muon=True),
)
