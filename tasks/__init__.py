"""Steps of the pipeline. In each step only task.py knows Flyte; the rest is pure and typed."""
