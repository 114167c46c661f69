"""Mid-training: continued pre-training on text, with its own schedule and mixture of sources.

Read ``steps`` first: what is recorded. ``mixture`` draws documents by source, ``rows`` packs them.
"""
