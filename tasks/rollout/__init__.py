"""Ground floor: sampling, environments, grading."""
