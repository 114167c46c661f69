"""The limited process of ``tasks.model.rendering``: started as a script, never imported.

Reads one JSON document per line from standard input, renders it, and answers with one line. It
inherits none of our environment variables, and ends when its input ends.
"""

import json
import resource
import signal
import sys
from datetime import datetime
from pathlib import Path

sys.path += [path for path in sys.argv[1:] if path not in sys.path]

from transformers.utils import chat_template_utils

MEMORY_BYTES = 256 << 20
"""Memory that rendering may use on top of what the process uses when it is ready."""
CPU_SECONDS = 2.0
"""CPU time of one rendering; a signal then ends the process."""
LONGEST_TEXT = 8 << 20
"""Maximum length in characters, longer than any context."""


class _FixedClock:
    """The clock of templates: a prompt must not depend on the day on which it is rendered."""

    today = datetime.min

    @classmethod
    def now(cls) -> datetime:
        """Return the date that the caller gave."""
        return cls.today


def main() -> None:
    """Answer until the input ends."""
    vars(chat_template_utils)["datetime"] = _FixedClock  # where `strftime_now` reads it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides when to stop
    _limit_memory()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = _answer(line)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


def _limit_memory() -> None:
    taken = Path("/proc/self/statm")
    if not taken.exists():
        return  # not Linux, where the limit holds nothing
    pages = int(taken.read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _answer(line: str) -> str:
    try:
        asked = json.loads(line)
        _FixedClock.today = datetime.fromisoformat(asked["date"])
        text = chat_template_utils.render_jinja_template([asked["messages"]], **asked["call"])[0][0]
        if len(text) > LONGEST_TEXT:
            return json.dumps({"error": f"it gives {len(text)} characters"})
        return json.dumps({"text": text})
    except MemoryError:
        return json.dumps({"error": "it takes too much memory"})
    except Exception as error:  # noqa: BLE001 - a template raises what it likes
        return json.dumps({"error": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main()
