"""The ``provost`` commands that a text gives, each held against the command line itself."""

import re
import shlex

import click

from workflows.cli import main

_LINE = re.compile(r"^(?:\w+=\S+ )*provost ([a-z].*)$", re.MULTILINE)
_INLINE = re.compile(r"`provost ([a-z][^`\n{]*)`")


def commands_of_page(text):
    """Return the commands that stand at the beginning of a line, or between backquotes."""
    return [*_LINE.findall(text), *_INLINE.findall(text)]


def commands_of_code(text):
    """Return the commands between backquotes; a message may be broken over lines of source."""
    return _INLINE.findall(re.sub(r'"\s*\n\s*f?"', "", text))


def fault(line):
    """Return what is wrong with a command, given without ``provost``; "" if all of it exists."""
    command, words = main, shlex.split(line, comments=True)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        command = command.get_command(click.Context(command), name)
        if command is None:
            return f"`provost {line}` names no command"
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    unknown = sorted(given - known - {"--help"})
    return f"`provost {line}` has no option {', '.join(unknown)}" if unknown else ""
