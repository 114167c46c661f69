"""Flyte graphs. They wire tasks together and compute nothing.

Read ``consolidation/workflow`` first, then ``climb``, the usual wiring of a teacher team. ``graph``
has what the graphs are built with; ``cli`` is the entry of the command ``provost``, and ``process``
with ``progress`` runs several commands side by side for the demo.
"""
