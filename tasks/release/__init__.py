"""A team's domain is collected, a climb becomes a release, a student is published.

Read ``release`` first: what a consumer needs of a teacher, by digest. ``domain`` collects what a
team hands over, ``student`` publishes what a consolidation made. ``gain`` says whether a teacher
beats the fork point, ``preflight`` tries at the start what would fail at the end.
"""
