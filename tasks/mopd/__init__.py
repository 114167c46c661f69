"""Multi-teacher on-policy distillation: routing, objectives, the teacher pool."""
