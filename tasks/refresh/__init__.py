"""Teachers that climb again from the student of a round, for the next round.

It lies above the steps, because it repeats several of them. Read ``climb_again`` first.
"""
