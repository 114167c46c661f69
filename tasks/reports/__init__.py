"""Every page of Provost: templates, their style sheets, and what renders them safely.

Read ``rendering`` first: it says what a template may do. ``curves`` holds the numbers of a
run's curves, and the page of a training step. The rooms compute the values of their own pages:
gate, attribution, evaluate.
"""
