"""Teachers' answers as demonstrations for one SFT: off-policy distillation.

Read ``mixture`` first: which answers of each source, in which form, and how many of each. ``steps``
records it, and brings in answers of a closed model; ``task`` wraps both for Flyte. The
demonstrations are text, so any checkpoint can start from them: a base, a mid-trained or supervised
one, and one of another architecture with its own tokenizer.
"""
