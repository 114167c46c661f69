"""What a team states of a teacher that it trained elsewhere. No torch: workflows import it."""

from pydantic import Field

from lineage.declared import Declared
from lineage.frozen import Frozen
from tasks.model.settings import StoredAs


class ImportSettings(Frozen):
    """A teacher that was trained elsewhere, as its team declares it."""

    source: str
    """Path of a folder, or id on the Hub, with a revision behind an @ if needed: a whole model in
    safetensors, or a LoRA adapter of PEFT."""
    domain: str = Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")
    owner: str = Field(min_length=1)
    license: str = Field(min_length=1)
    """SPDX identifier of the license of the weights."""
    declared: Declared = Declared()
    saved_precision: StoredAs = StoredAs.AUTO
    """Floating-point format in which the teacher is stored; auto keeps bf16 where all weights are
    bf16, else it is fp32."""
