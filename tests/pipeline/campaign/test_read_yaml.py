"""A declaration's YAML holds each key once; what is no YAML is told with its line, in words."""

import pytest

from pipeline.campaign.read_yaml import read_yaml
from pipeline.core.errors import UserError


def read(folder, text):
    path = folder / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, "x.yaml")


def lists_of_lists(depth):
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    return "\n".join(
        lines + [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefghijk", "bcdefghijkl")][:depth]
    )


@pytest.mark.parametrize(
    "text, message",
    (
        ("a: 1\nb: 2\na: 3\n", "x.yaml, line 3: key 'a' is repeated, it stands in line 1 already: take one out"),
        ("r:\n  p:\n    lr: 1\n    lr: 2\n", "x.yaml, line 4: key 'r.p.lr' is repeated, it stands in line 3 already"),
        ("r: {p: {lr: 1,\n  lr: 2}}\n", "x.yaml, line 2: key 'r.p.lr' is repeated, it stands in line 1 already"),
        ("r: {a: 1, a: 2}\n", "x.yaml, line 1: key 'r.a' is repeated, it stands in line 1 already"),
        ("r:\n- {a: 1}\n- {a: 1, 'a': 2}\n", "x.yaml, line 3: key 'r.1.a' is repeated"),
        ("p: &p {a: 1}\nr: {<<: *p, b: 1, b: 2}\n", "x.yaml, line 2: key 'r.b' is repeated"),
        ("p: &p {a: 1}\nr:\n  <<: *p\n  <<: *p\n", "x.yaml, line 4: key 'r.<<' is repeated, it stands in line 3 already"),
        ("a: {1: 2}", "line 1: the key 1 in a is no name: begin it with a letter"),
        ("true: 1", "line 1: the key true in the file is no name"),
        ("a:\n  ~: 2", "line 2: the key ~ in a is no name"),
        ("a: {? : 2}", "line 1: the key null in a is no name"),
        ("{[a]: 2}", "the key [...] in the file is no name"),
        ("a: 1\n\tb: 2\n", "is not valid YAML: line 2: a tab: indent with spaces"),
        ("a: 1\n---\na: 2\n", "is not valid YAML: line 2: a second document"),
        ("a: [1, 2", "is not valid YAML: line 1: a list that is not closed, or lacks a comma"),
        ("a: {b: 1", "is not valid YAML: line 1: a '{' that is not closed"),
        ("a: b: c", "is not valid YAML: line 1: a ':' where none can stand"),
        ("a:\n  b: 1\n   c: 2", "is not valid YAML: line 3: a ':' where none can stand: indent as the lines above"),
        ("a: 1\nb\nc: 1", "is not valid YAML: line 3: a key without ':' behind it"),
        ("a:\n  b: 1\n c: 1", "is not valid YAML: line 3: a line that fits neither those above nor their indentation"),
        ("a: 'b", "a quote that is not closed"),
        ("a: @b", "a text that begins with a character of YAML's own"),
        ("a: *b", "a *name without the &name"),
        ("a: *", "a * or & without a name behind it"),
        ("a: &x 1\nb: &x 2", "an &name that stands above already"),
        ("a: {<<: 3}", "<< takes in keys"),
        ('a: "\\q"', "in double quotes that YAML has no meaning for"),
        ("a: |x\n b", "a text behind | or >"),
        ("a: !!set {b}", "x.yaml, line 1: !!set in a is not known here: take it out"),
        ("a: !!binary aGk=", "!!binary in a is not known here"),
        ("a: !!python/name:os.system x", "!!python/name:os.system in a is not known here"),
        ("a: !b 1", "!b in a is not known here"),
        ("a: !!bool maybe", "a !!tag does not fit its value"),
        ("a: !!int b", "a !!tag does not fit its value"),
        ("a: " + "1" * 5000, "a number has too many digits"),
        ("a: 1\n".encode("utf-16"), "it is no text in UTF-8, save it as such"),
        (b"a: \xe9", "it is no text in UTF-8"),
        ("a: b\0", "character 5 is '\\x00', which is no text"),
        ("[" * 5000, "it is nested too deeply"),
        ("a: " + "[" * 50 + "]" * 50, "a is nested deeper than 20 levels"),
        ("a: &a [*a]", "x.yaml, line 1: a *name in a.0 stands for what it is part of"),
        ("a: &a {b: {<<: *a}}", "a *name in a.b.<< stands for what it is part of"),
        (lists_of_lists(11), "stands for more than 100,000 values: repeat fewer by *name"),
    ),
)
def test_what_is_no_yaml_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert message in str(error.value) and str(error.value).startswith("x.yaml") and "\n" not in str(error.value)
    assert not any(word in str(error.value) for word in ("mapping", "scalar", "token", "block", "constructor"))


@pytest.mark.parametrize(
    "text, content",
    (
        ("", None),
        ("# nothing\n", None),
        (
            "a: [yes, on, No, off, 1:30, 010, 0x10, 0b1, 2024-01-01, =, 1d]",
            {"a": "yes on No off 1:30 010 0x10 0b1 2024-01-01 = 1d".split()},
        ),
        ("a: [true, False, null, ~, ]", {"a": [True, False, None, None]}),
        (
            "a: [1e-3, 1E5, .5, 5., -1.5e+3, 1_000, -3, 0, +2, 1_0.5]",
            {"a": [0.001, 1e5, 0.5, 5.0, -1500.0, 1000, -3, 0, 2, 10.5]},
        ),
        ("yes: {no: 1}", {"yes": {"no": 1}}),
        ("p: &p {a: 1, b: 2}\nr: {<<: *p, b: 3}", {"p": {"a": 1, "b": 2}, "r": {"a": 1, "b": 3}}),
        ("p: &p {a: 1}\nq: {r: &q {<<: *p, a: 2}}\ns: {<<: [*q, *p]}", {"p": {"a": 1}, "q": {"r": {"a": 2}}, "s": {"a": 2}}),
        ("a: &a [1]\nb: *a\nc: *a", {"a": [1], "b": [1], "c": [1]}),
        ("\ufeffa: 1\r\nb: é\r\n", {"a": 1, "b": "é"}),
        (lists_of_lists(1), {"a": [1] * 10, "b": [[1] * 10] * 10}),
    ),
)
def test_plain_texts_are_what_people_take_them_for(tmp_path, text, content):
    found = read(tmp_path, text)
    assert found == content and repr(found) == repr(content)


def test_infinity_and_nan_are_numbers_still(tmp_path):
    values = read(tmp_path, "a: [.inf, -.inf, .nan, 1e400]")["a"]
    assert values[0] == values[3] == float("inf") == -values[1] and values[2] != values[2]
