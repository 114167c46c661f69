"""One folder a team. A team edits its own folder and imports no other."""
