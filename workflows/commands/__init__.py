"""The subcommands of ``provost``, one module each, imported on first use."""
