"""A checkpoint that another trainer made from one of ours, in our own format."""

from pathlib import Path

from tasks.contracts.refusal import RefusedError
from tasks.model.adapter_merge import is_adapter, merge_adapter, refuse_other_base
from tasks.model.bring_in import Brought, bring_in
from tasks.model.files import load_policy, load_tokenizer
from tasks.model.identity import differences
from tasks.model.saving import save_in
from tasks.model.settings import StoredAs


def as_checkpoint(
    source: Path,
    start: Path,
    into: Path,
    hub_id: str = "",
    precision: StoredAs = StoredAs.AUTO,
) -> Brought:
    """Save a whole model, or a LoRA adapter merged into its start, with the start's tokenizer.

    Args:
        source: Folder of the other trainer.
        start: Folder of the checkpoint that it was trained from.
        into: Folder to write.
        hub_id: Id of the start on the Hub; "" if unknown.
        precision: Floating-point format of the saved weights; a merged adapter is not in bf16.

    Raises:
        RefusedError: for a folder that cannot be used, or with another tokenizer or template.
    """
    if is_adapter(source):
        refuse_other_base(source, start, hub_id)
        policy = load_policy(start)
        policy.model.float()
        merge_adapter(policy.model, source)
        saved = save_in(policy, into, precision.of(is_bf16=False))
        return Brought(into, {"merged": "a LoRA adapter", "saved": saved})
    brought = bring_in(source, into, precision)
    tokenizer = load_tokenizer(start)
    if differ := differences(load_tokenizer(brought.folder), tokenizer):
        raise RefusedError(
            "other-tokenizer",
            f"{source} and the checkpoint that it is declared to come from differ in "
            f"{'; and in '.join(differ)}: a teacher scores the student's own tokens. Train with "
            "that checkpoint's tokenizer and template, or declare the one that it was trained from",
        )
    tokenizer.save_pretrained(into)  # its pad token may be another
    load_policy(into)  # before a record says that it is finished
    return brought
