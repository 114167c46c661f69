"""Whether the audit tells the truth about realistic behaviors, on the recipes' testbed.

``kinds`` says what each of the eight kinds of behavior does to an ordinary answer, ``taught`` who
is taught what, ``world`` with which data, ``making`` trains a world's models with the product's own
stages, ``asking`` audits the student, and ``absence`` retrains it without some teachers. The
others read the committed rows: ``items`` makes the questions of an auditor from them,
``calibration`` gives each answer of the ``methods`` a probability, ``judging`` compares with the
truth, and ``degrees``, ``adds``, ``spills`` and ``effects`` have a table each. ``goals.json`` was
committed before the first run, and ``frozen`` keeps rows of different states apart.
"""
