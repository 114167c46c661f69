"""The trained controls of a consolidation: other ways from the same teachers, prompts and time.

``budget`` says how many steps take as long as the student's rounds. ``off_policy`` has SFT on the
teachers' answers, ``arms`` the controls by RL and by MOPD. The merges, which train nothing, are in
``tasks.merge.controls``. Which controls there are: ``tasks.contracts.controls``.
"""
