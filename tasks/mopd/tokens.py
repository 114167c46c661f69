"""Whether all models of a round mean the same by a token, and read prompts in the same form."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from tasks.model.identity import identity_of, template_digest, tokenizer_digest
from tasks.mopd.teacher_pool.checkpoint import TeacherSource


def refuse_other_tokens(
    sources: Sequence[TeacherSource], student: PreTrainedTokenizerBase, *, any_template: bool
) -> None:
    """Compare what lies in the checkpoints, whatever was declared of them.

    Two tokenizers of one vocabulary size may disagree on every id, and nothing would fail: the
    student would be taught noise.

    Args:
        sources: Every model that will be asked.
        student: Its tokenizer.
        any_template: Whether a person has accepted that templates differ.

    Raises:
        ValueError: naming the teacher, for another tokenizer, or another chat template.
    """
    ours = tokenizer_digest(student), template_digest(student)
    # Teachers of one digest are one folder.
    identities = {source.digest: identity_of(source.folder) for source in sources}
    for source in sources:
        tokenizer, template = identities[source.digest]
        if tokenizer != ours[0]:
            raise ValueError(
                f"teacher {source.name!r} cannot be used: its tokenizer is {tokenizer}, the "
                f"student's {ours[0]}. Ids would mean other text to it: re-train it with the "
                "student's tokenizer, or leave it out"
            )
        if template != ours[1] and not any_template:
            raise ValueError(
                f"teacher {source.name!r} cannot be used: its chat template is {template}, the "
                f"student's {ours[1]}. It would score prompts in a form that it never saw: release "
                "it with the student's template, leave it out, or have a waiver accept it"
            )
