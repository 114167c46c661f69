"""Ground floor: make, load and save models; chat tokens; log-probabilities."""
