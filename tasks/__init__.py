"""Steps of the pipeline. In each step only task.py knows Flyte; the rest is pure and typed.

A folder is a step (``sft``, ``rl``, ``mopd``, ``merge``, ``gate``, ``evaluate``, ``attribution``,
``release``), what several steps run (``onpolicy``, ``ledger``, ``rollout``, ``model``), or what all
of them share: ``contracts``, the types and records that steps hand each other; ``platform``, how a
step runs, is recorded and fails; ``reports``, the pages. ``statistics`` has the intervals, and
``doctor`` checks a machine. Read ``platform/step_runner`` first.
"""
