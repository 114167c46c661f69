"""The failure campaign: what is lost, or believed, when machines, disks, clocks and teams fail.

Question: does any fault lose acknowledged work, show half-written work, or change what another
team reads? One row for each case, appended as it ends, so that a run that was cut off goes on:

    python -m benchmarks.faults CASE [--count N] [--seed S]     # runs what is left of a case
    python -m benchmarks.faults report                          # counts, into results/faults.json

Cases: ``flips`` (one byte of a finished store), ``kills`` and ``demo_kills`` (SIGKILL of a
consolidation), ``recipe_kills`` (of a recipe), ``full`` (a full disk), ``outages`` (an S3 server
that fails), ``releases`` (eight teams at once), ``clocks`` (two days apart), ``teams`` (one team
does all that its role allows), ``teams_s3`` (the same on an S3 server), ``trained`` (the same, and
then a student is trained).
Start with ``rows``.
"""
