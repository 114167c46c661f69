"""What people decide about consolidations: launches, approvals and waivers.

Read ``launch`` first. ``history`` lists every launch of a store with what came of it,
``verdicts`` what the gate and its remedies said of each teacher.
"""
