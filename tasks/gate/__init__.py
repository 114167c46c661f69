"""Do the teachers fit a student? By record, then by measurement, before GPU time is spent.

Read ``gate`` first: it probes, judges and decides. By record: ``plan`` resolves references
(``teacher_spec``) and lists findings, ``decision`` says which of them end a run. By measurement:
``probed`` records what ``probe`` measures with ``reading`` and ``weights`` (documents in
``measured``); ``prediction`` expects a share of the gain, ``verdict`` judges, ``recalibration``
and ``outcome`` learn from earlier merges, ``refork`` writes the retraining request. ``page`` and
``plan_page`` give the values of the pages, ``forecast`` the cost. ``task`` wraps it for Flyte.
"""
