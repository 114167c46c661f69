"""The platform: how a step runs, is recorded, is shown and fails. It knows no step and no model.

Read ``step_runner`` first: every step is found or made there. ``hosting`` makes a function a Flyte
task; ``resources``, ``attempt``, ``resume`` and ``ranks`` are what it runs with. ``measurements``,
``progress`` and ``views`` show its work, ``garbage`` keeps its start short, ``provenance`` says
what computed it, and ``failure`` and ``console_errors`` are how it ends when it fails.
"""
