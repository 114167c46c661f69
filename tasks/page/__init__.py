"""Ground floor under every report: safe HTML, one style, one document."""
