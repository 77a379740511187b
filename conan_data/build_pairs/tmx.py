"""Read translation memories (TMX) as a stream, with expat.

A memory of gigabytes is never held as a tree: expat is fed block by block, and a unit is done with at its end. Files
come from strangers: a declaration of an entity, by which a small file grows to gigabytes or names files of this
machine, ends the reading; external definitions (`tmx14.dtd`) are not loaded.
"""

from collections.abc import Iterator, Mapping
from xml.parsers import expat

from conan_data.readers import Broken
from conan_data.readers.rows import cut
from conan_data.readers.streams import Failure, chunks

Unit = list[tuple[str, str]]
"""Language and text of each variant, that in the memory's source language first."""
_NATIVE = frozenset(("bpt", "ept", "it", "ph", "ut"))
"""Elements in a segment that hold the markup of the translated file."""
_MAX_LETTERS = 1 << 20
"""Characters of a segment from which a unit is refused."""


def read_tmx(path: str, name: str) -> Iterator[Unit | Broken]:
    """Yield the units that have a text in two languages or more. One that has not, and the rest of a file that is no
    XML from there on, are `Broken`.
    """
    handler = _Handler(name)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = handler.start, handler.end
    parser.CharacterDataHandler = handler.text
    parser.EntityDeclHandler = handler.refuse_entity
    try:
        for chunk in chunks(path):
            if isinstance(chunk, Failure):
                yield from handler.take()
                yield Broken(name, handler.num_units + 1, chunk.reason, cut(chunk.message), is_gap=True)
                return
            parser.Parse(chunk, False)
            yield from handler.take()
        parser.Parse(b"", True)
    except (expat.ExpatError, _RefusedError) as error:
        yield from handler.take()
        yield Broken(name, handler.num_units + 1, "invalid-xml", cut(str(error)), is_gap=True)
        return
    yield from handler.take()


class _RefusedError(Exception):
    """A declaration that is not read."""


class _Handler:
    """What expat calls."""

    def __init__(self, name: str) -> None:
        self.num_units = 0
        self._name = name
        self._source_language = ""
        self._done: list[Unit | Broken] = []
        self._unit: Unit = []
        self._unit_source = ""
        self._language = ""
        self._pieces: list[str] | None = None
        self._size = 0
        self._native = 0

    def take(self) -> list[Unit | Broken]:
        """Return what was completed since the last call."""
        done, self._done = self._done, []
        return done

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "header":
            self._source_language = attributes.get("srclang", "")
        elif tag == "tu":
            self._unit, self._size = [], 0
            self._unit_source = attributes.get("srclang") or self._source_language
        elif tag == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif tag == "seg":
            self._pieces, self._native = [], 0
        elif tag in _NATIVE and self._pieces is not None:
            self._native += 1

    def end(self, tag: str) -> None:
        if tag == "tu":
            self._finish()
        elif tag == "seg" and self._pieces is not None:
            text = "".join(self._pieces).strip()
            if text and self._language:
                self._unit.append((self._language, text))
            self._pieces = None
        elif tag in _NATIVE and self._pieces is not None:
            self._native -= 1

    def text(self, text: str) -> None:
        if self._pieces is not None and not self._native:
            self._size += len(text)
            if self._size <= _MAX_LETTERS:
                self._pieces.append(text)

    def refuse_entity(self, *_: object) -> None:
        raise _RefusedError("it declares entities, which are not read")

    def _finish(self) -> None:
        self.num_units += 1
        unit, self._unit = self._unit, []
        if self._size > _MAX_LETTERS:
            self._done.append(
                Broken(self._name, self.num_units, "segment-too-long", cut(unit[0][1] if unit else ""))
            )
        elif len({language.lower() for language, _ in unit}) < 2:
            self._done.append(Broken(self._name, self.num_units, "one-language", cut(str(unit))))
        else:
            source = self._unit_source.lower()
            self._done.append(sorted(unit, key=lambda variant: variant[0].lower() != source))
