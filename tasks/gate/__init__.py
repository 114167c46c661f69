"""Checks whether teachers fit a student, by records and by measurement, before GPU time is spent.

Read ``gate`` first: it probes, judges and decides. By records: ``plan`` resolves references
(``teacher_spec``) and lists findings, ``decision`` decides which of them end a run. By measurement:
``probe_step`` records what ``probe`` measures with ``reading`` and ``weights`` (documents in
``measured``); ``verdict`` judges, ``outcome`` records what came of it, ``past_outcomes`` finds that
again, ``reliability`` says how often such verdicts were right, ``refork`` writes the retraining
request. ``page`` and ``plan_page`` compute the values of the pages, ``forecast`` the cost. ``task``
wraps all of it for Flyte.
"""
