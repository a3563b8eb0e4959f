"""A user's mistake is one line and exit code 2, whatever it tells of; a fault of ours keeps its traceback."""

import pytest

from pipeline.core.errors import UserError, nearest, run_stage


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    "error, line",
    (
        (UserError("gamma is -1:\n  give 0 or more"), "pipeline.train: error: gamma is -1: give 0 or more\n"),
        (UserError("name \x1b[2J\u2028 is odd"), "pipeline.train: error: name \\x1b[2J\\u2028 is odd\n"),
        (FileNotFoundError(2, "No such file", "x"), "pipeline.train: error: [Errno 2] No such file: 'x': check the path, "),
    ),
)
def test_a_mistake_is_one_line(capsys, error, line):
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(error), "train")
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.err.startswith(line) and told.err.count("\n") == 1 and not told.out


def test_a_fault_of_ours_is_no_mistake_of_the_users():
    with pytest.raises(ZeroDivisionError):
        run_stage(failing(ZeroDivisionError()), "train")


def test_ctrl_c_ends_a_command_without_a_word(capsys):
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(KeyboardInterrupt()), "train")
    assert ended.value.code == 130 and not capsys.readouterr().err


def test_a_mistyped_name_is_told_the_nearest_and_else_all():
    assert nearest("statik", ("tet", "static")) == "did you mean 'static'?"
    assert nearest("xyz", ("tet", "static")) == "known: static, tet" and nearest("x", ()) == "known: none"
