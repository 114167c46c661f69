"""Sampling as a recorded stage, and what is selected from it.

Read ``sample`` first: all K responses of each prompt, with the environment's grade. ``scored`` adds
scores of reward models and judges. ``demonstrations``, ``pairs`` and ``difficulty`` select from the
same responses, and ``annotator`` compares them with known noise; these four are pure. ``steps``
records what they select, and ``task`` wraps all for Flyte.
"""
