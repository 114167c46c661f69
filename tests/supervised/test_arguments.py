"""What a trainer is told, whatever machine it runs on."""

from trl.trainer.sft_config import SFTConfig

from tasks.supervised.settings import TrainingSettings
from tasks.supervised.training import configured


class OfEightGpus(SFTConfig):
    """Arguments as transformers makes them where it sees eight GPUs."""

    def __post_init__(self):
        super().__post_init__()
        self._n_gpu = 8


def test_a_batch_has_as_many_rows_on_a_machine_of_eight_gpus(tmp_path):
    settings = TrainingSettings(num_steps=1, learning_rate=1.0, batch_size=6)
    arguments = configured(OfEightGpus, settings, 0, tmp_path)()
    assert arguments.per_device_train_batch_size == 6
    assert arguments.train_batch_size == 6
