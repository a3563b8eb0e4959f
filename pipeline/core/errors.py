"""A user's mistake is one line and exit code 2; a fault of ours keeps its traceback."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class UserError(ValueError):
    """Something the user can mend: says in one line what is wrong and what to do, whatever texts and names it tells of."""

    def __str__(self) -> str:
        line = re.sub(r"\s*\n\s*", " ", super().__str__().strip())
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)


def exit_with(error: UserError, where: str) -> NoReturn:
    print(f"{where}: error: {error}", file=sys.stderr)
    sys.exit(2)


def run_stage(main: Callable[[], None], name: str) -> None:
    """Run a stage's main function as a command."""
    try:
        main()
    except UserError as error:
        exit_with(error, f"pipeline.{name}")
    except OSError as error:
        exit_with(UserError(f"{error}: check the path, its permissions and the space left"), f"pipeline.{name}")
    except KeyboardInterrupt:
        sys.exit(130)


def nearest(name: str, known: Iterable[str]) -> str:
    """Text that helps with a mistyped name: the nearest valid one, else all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
