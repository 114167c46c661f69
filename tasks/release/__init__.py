"""A team's domain is collected, a climb becomes a release, a student is published."""
