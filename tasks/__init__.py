"""Steps of the pipeline. In each step only task.py knows Flyte; the rest is pure and typed.

A folder is a step (``sft``, ``rl``, ``mopd``, ``merge``, ``gate``, ``evaluate``, ``attribution``,
``release``) or what several steps stand on (``onpolicy``, ``ledger``, ``rollout``, ``model``). The
modules beside them are the platform. Read ``step_runner`` first: every step is found or made there.

    handover, planned, publication, review    what steps pass on, and the acts that end a run
    measurements, mirror, progress, live_page, reports    what a step shows while it works
    hosting, resources, pod, attempt, resume, ranks, threads, reused    how Flyte and torch run it
    failure, console_errors, refusal, inputs    how it fails, and how a person reads that
    provenance, statistics, documented    what the code is; intervals; descriptions of fields
"""
