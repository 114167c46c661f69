"""Whether the audit tells the truth about realistic behaviors, on the recipes' testbed.

``kinds`` says what each of the eight kinds of behavior does to an ordinary answer, ``world`` who is
taught what, ``making`` trains a world's models with the product's own stages, ``asking`` audits the
student, and ``absence`` retrains it without some teachers. The others read the committed rows:
``items`` makes the questions of an auditor from them, ``calibration`` gives each answer a
probability, ``judging`` and ``degrees`` compare with the truth. ``goals.json`` was committed before
the first run.
"""
