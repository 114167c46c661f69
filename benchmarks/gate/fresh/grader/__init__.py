"""A grader of the demo's domains that accepts several conventions; it travels as a bundle."""
