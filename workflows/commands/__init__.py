"""What the command ``provost`` can do, one module each, imported when it is asked for."""
