"""Report a user's mistake in one line with exit code 2; a fault of the program keeps its traceback."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn


class UserError(ValueError):
    """A mistake that the user can mend: its message says what is wrong and what to do."""

    def __str__(self) -> str:
        """Give the message as one line; characters that can't be printed are escaped, whatever texts and names it holds."""
        line = re.sub(r"\s*\n\s*", " ", super().__str__().strip())
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def exit_with(error: UserError, where: str) -> NoReturn:
    """Print the error on stderr as one line and exit with code 2."""
    print(f"{where}: error: {error}", file=sys.stderr)
    sys.exit(2)


@contextmanager
def told_in_one_line(where: str) -> Iterator[None]:
    """End the program with one line and exit code 2 where the block raises UserError or OSError."""
    try:
        yield
    except UserError as error:
        exit_with(error, where)
    except OSError as error:
        exit_with(UserError(f"{error}: check the path, its permissions and the space left"), where)


def run_stage(main: Callable[[], None], name: str) -> None:
    """Run a stage's main function as a command: UserError and OSError end it with one line and code 2, Ctrl-C with 130.

    What its output's encoding lacks is escaped, as a γ where only ASCII can be written.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed
        stream.reconfigure(errors="backslashreplace")
    try:
        with told_in_one_line(f"pipeline.{name}"):
            main()
    except KeyboardInterrupt:
        sys.exit(130)


def nearest(name: str, known: Iterable[str]) -> str:
    """Write a hint for a mistyped name: the nearest valid one, else all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
