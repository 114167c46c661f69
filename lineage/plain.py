"""Text of others as it may be shown: it says what it says, and steers no terminal.

A reason, an owner or a name is anything that another team wrote. Raw, it could clear the screen and
print a verdict of its own.
"""


def plain(text: str) -> str:
    """Return text as one line: white space as blanks, without control and invisible characters."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "" for letter in text
    )


def paragraph(text: str) -> str:
    """Return text of several lines, each plain; lines after the first are indented.

    Quoted text can therefore never begin a line and pass for our own output. Idempotent.
    """
    if text.isprintable():
        return text
    first, *others = text.split("\n")
    return "\n".join([plain(first), *(_indented(plain(line.expandtabs(4))) for line in others)])


def _indented(line: str) -> str:
    return line if not line.strip() or line.startswith("  ") else f"  {line}"
