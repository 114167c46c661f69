"""What every stage on a trainer of TRL shares: optimizer, schedule, resuming, logs.

Read ``training`` first: how a stage configures its trainer and runs it. ``trainer_state`` says what
a killed run goes on from, ``optimizers`` what steps the weights.
"""
