"""Read a YAML file in which each key stands once, and numbers are what people take them for. Imports no torch.

Of YAML 1.1's readings of plain text, those that surprise are left out: 1e-3 is a number; yes, on, 010, 1:30 and 2024-01-01 are texts.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode

from pipeline.core.errors import UserError

MOST_LEVELS = 20  # of lists and keys in each other; no field asks for as many
MOST_VALUES = 100_000  # that a file may stand for, those counted again that *aliases repeat
TAG = "tag:yaml.org,2002:"
TEXT, MERGE = f"{TAG}str", f"{TAG}merge"
PLAIN = {  # the plain texts that are not texts, and the characters that they begin with
    "null": ("~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": ("true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": ("[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": ("<<", ["<"]),
}
TAGS = {f"{TAG}{name}" for name in (*PLAIN, "str", "seq", "map")}
WORDS = (  # of PyYAML's complaints, by how they begin, and what they mean to who wrote the file
    (
        "mapping values are not allowed",
        "a ':' where none can stand: indent as the lines above, and put texts that hold ': ' in quotes",
    ),
    ("could not find expected ':'", "a key without ':' behind it"),
    ("found character '\\t'", "a tab: indent with spaces"),
    ("found character", "a text that begins with a character of YAML's own: put it in quotes"),
    ("expected <block end>", "a line that fits neither those above nor their indentation"),
    ("expected ',' or ']'", "a list that is not closed, or lacks a comma: write [a, b]"),
    ("expected ',' or '}'", "a '{' that is not closed, or a comma that is missing: write {a: 1, b: 2}"),
    ("expected a mapping", "<< takes in keys, and what stands here has none"),
    ("expected the node content", "a value is missing: a list or '{' is not closed, or a comma is one too many"),
    ("found unexpected end of stream", "a quote that is not closed"),
    ("found undefined alias", "a *name without the &name that it stands for above"),
    ("found duplicate anchor", "an &name that stands above already: give it another"),
    ("expected alphabetic or numeric", "a * or & without a name behind it: put texts that begin with one in quotes"),
    ("expected chomping", "a text behind | or >: begin it in the next line, or put it in quotes"),
    ("found unknown escape", "a \\ in double quotes that YAML has no meaning for: use single quotes"),
    ("but found another document", "a second document: a declaration is one, so take the --- out"),
)


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with the numbers, truth values and null of PLAIN."""

    yaml_implicit_resolvers = {}


for name, (pattern, beginnings) in PLAIN.items():
    Loader.add_implicit_resolver(f"{TAG}{name}", re.compile(f"^(?:{pattern})$"), beginnings)


def read_yaml(path: Path, name: str) -> Any:
    """Read a file, called `name` in messages. Raises UserError with the line where it is no YAML, or has a key twice."""
    try:
        loader = Loader(path.read_bytes().decode("utf-8-sig"))
        if (node := loader.get_single_node()) is None:
            return None
        check_node(node, (), {}, name)
        return loader.construct_document(node)
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{name} is not valid YAML: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """Put what was raised while a file was read into words, with its line where it is known."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in UTF-8, save it as such"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} is {chr(error.character)!r}, which is no text: save it as UTF-8"
    if not isinstance(error, yaml.MarkedYAMLError):
        return "a number has too many digits, or a !!tag does not fit its value"
    complaints = [text for text in (error.problem, error.context) if text]
    words = (words for text in complaints for beginning, words in WORDS if text.startswith(beginning))
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1 if mark else 1}: {next(words, 'it can not be read from here on')}"


def check_node(node: Node, place: tuple[str, ...], counts: dict[int, int | None], name: str) -> int:
    """Check the tags and keys below a place, and count its values. Raises UserError for a key that stands there twice.

    counts: of nodes that were checked before, by their id; None while a node is being checked.
    """
    line, where = f"{name}, line {node.start_mark.line + 1}", ".".join(place) or "the file"
    if counts.get(id(node), 0) is None:
        raise UserError(f"{line}: a *name in {where} stands for what it is part of: take it out")
    if id(node) in counts:
        return counts[id(node)]
    if len(place) > MOST_LEVELS:
        raise UserError(f"{line}: {place[0]} is nested deeper than {MOST_LEVELS} levels, and no field asks for as many")
    if node.tag not in TAGS:
        raise UserError(f"{line}: {node.tag.replace(TAG, '!!')} in {where} is not known here: take it out")
    counts[id(node)] = None
    children = []
    if isinstance(node, MappingNode):
        check_keys(node, place, name)
        children = [(value, (*place, key.value)) for key, value in node.value]
    elif not isinstance(node, ScalarNode):
        children = [(item, (*place, str(index))) for index, item in enumerate(node.value)]
    count = 1 + sum(check_node(child, below, counts, name) for child, below in children)
    if count > MOST_VALUES:
        raise UserError(f"{line}: {where} stands for more than {MOST_VALUES:,} values: repeat fewer by *name")
    counts[id(node)] = count
    return count


def check_keys(node: MappingNode, place: tuple[str, ...], name: str) -> None:
    """Check that each key is a text, and stands once; those that << takes in may be replaced."""
    where, first_lines = ".".join(place) or "the file", {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode) or key.tag not in (TEXT, MERGE):
            text = key.value or "null" if isinstance(key, ScalarNode) else "[...]"
            raise UserError(f"{name}, line {line}: the key {text} in {where} is no name: begin it with a letter")
        if key.value in first_lines:
            repeated = f"key {'.'.join((*place, key.value))!r} is repeated"
            first = first_lines[key.value]
            raise UserError(f"{name}, line {line}: {repeated}, it stands in line {first} already: take one out")
        first_lines[key.value] = line
