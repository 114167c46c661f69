"""Team safe: hazards get a refusal with its reason, harmless things get help, by a gold score."""
