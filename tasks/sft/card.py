"""What a Hugging Face model's own card says of it."""

from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError


def stated_license(source: str) -> str:
    """Return the license that the card of a model states, by local path or hub id; "" for none.

    A card that is missing, out of reach or not readable states none: an export then says that the
    license is not recorded.
    """
    card = Path(source) / "README.md"
    if card.parent.is_dir() and not card.is_file():
        return ""
    try:
        data = ModelCard.load(
            card if card.is_file() else source, ignore_metadata_errors=True
        ).data.to_dict()
    except (OSError, ValueError, EntryNotFoundError, yaml.YAMLError):
        return ""
    stated = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return stated if isinstance(stated, str) else ""
