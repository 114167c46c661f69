"""Four teams with questions and graders of public packages, all of one small real model."""
