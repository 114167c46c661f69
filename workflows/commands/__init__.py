"""The subcommands of ``provost``, imported on first use.

A module has the name of its command; ``waive`` is in ``approve``, ``plans`` in ``runs``. Several
commands share ``names``, which changes what a name points at, and ``models``, which shows a model.
Read ``run`` first, then ``local``, which runs a workflow here, and ``flyte`` and ``registration``,
which speak with Flyte. ``documents`` and ``answers`` are what ``--json`` prints; ``pages``,
``schemas`` and ``derivations`` generate documentation.
"""
