"""YAML as recipes use it, from files that may hold anything.

YAML 1.1 has readings that no recipe means: `no` is false (and the code of Norwegian), `1e-4` is text, 12:30 a number
of minutes, 2024-01-01 a date. Here words are text and numbers are numbers. A key that stands twice is refused, where
YAML keeps the last. Before anything is built, the stream of events is measured: how deep it is, and how large once
every alias stands for its whole content, so that neither a chain of aliases nor 3,000 brackets takes time or memory.
"""

import re
from typing import Any

import yaml

from conan_data.errors import UserError
from conan_data.fields import shorten

MAX_DEPTH = 30
"""Levels of a document."""
MAX_NODES = 100_000
"""Keys and values of a document with its aliases written out."""
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"


class _Loader(_Base):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.flat: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write merged keys (`<<`) out, once a mapping; what then stands twice is an override, not a mistake."""
        if node in self.flat:
            return
        self.flat.add(node)
        names = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in names:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {shorten(key.value)} stands twice", key.start_mark
                )
            names.add(key.value if isinstance(key.value, str) else None)
        super().flatten_mapping(node)


_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_PREFIX + _name, re.compile(f"(?:{_pattern})$"), list(_first))


def _int(_: Any, node: yaml.ScalarNode) -> int:
    return int(node.value.replace("_", ""), 16 if "x" in node.value else 10)


_Loader.add_constructor(_PREFIX + "int", _int)


def parse_yaml(content: bytes) -> Any:
    """Return what the one document in `content` holds: dicts, lists, text, numbers, true, false and None.

    Raises `UserError`, with line and column, for what is no such document.
    """
    try:
        text = content.decode("utf-8-sig")
        _measure(text)
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).replace(' in "<unicode string>"', "").split())
        raise UserError(f"not valid YAML ({what})") from error


def _measure(text: str) -> None:
    """Raise `UserError` for a document too deep or too large, and for tags (`!!binary`)."""
    sizes: dict[str, int] = {}
    anchors: list[str | None] = []
    counts = [0]
    for event in yaml.parse(text, _Base):
        tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if tag is not None:
            raise UserError(f"line {line}: tags such as {shorten(tag)} are not read")
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise UserError(
                    f"line {line}: *{shorten(anchor)} stands for nothing, or for what it stands in"
                )
            counts[-1] += sizes[anchor]
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
            if anchor:
                sizes[anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            anchors.append(anchor)
            counts.append(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = counts.pop(), anchors.pop()
            counts[-1] += size
            if name:
                sizes[name] = size
        if len(anchors) > MAX_DEPTH:
            raise UserError(f"line {line}: more than {MAX_DEPTH} levels deep")
        if max(counts[-1], counts[0]) > MAX_NODES:
            raise UserError(f"line {line}: more than {MAX_NODES:,} values, aliases written out")
