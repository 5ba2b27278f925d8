"""The line of each key in a TOML file, which the standard library's reader does not give.

A small scan of keys, tables, arrays and inline tables. It is for text that `tomllib` has accepted:
it finds positions, not mistakes.
"""

from __future__ import annotations

from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
_BARE_ENDS = frozenset(",]}#\n")


def find_lines(text: str) -> dict[Path, int]:
    """Return the line of every key, table and element of an array, counted from 1.

    Args:
        text: TOML that `tomllib.loads` reads.

    Returns:
        Lines by path: ("series", "tables", 0, "path") is `path` in the first [[series.tables]].
    """
    return _Scan(text).lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """Return the line of a path, or of the nearest parent; None for the file as a whole."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


class _Scan:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text.replace("\r\n", "\n"), 0, 1
        self.lines: dict[Path, int] = {}
        # Number of elements of each array of tables so far.
        self.counts: dict[Path, int] = {}
        table: Path = ()
        while self._skip():
            if self._sees("["):
                table = self._header()
            else:
                self._pair(table)

    def _sees(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def _step(self, n: int = 1) -> None:
        self.line += self.text.count("\n", self.at, self.at + n)
        self.at += n

    def _skip(self) -> bool:
        """Skip space, line ends and comments; return whether anything is left."""
        while self.at < len(self.text):
            if self._sees("#"):
                end = self.text.find("\n", self.at)
                self._step((len(self.text) if end < 0 else end) - self.at)
            elif self.text[self.at].isspace():
                self._step()
            else:
                return True
        return False

    def _header(self) -> Path:
        many = self._sees("[[")
        self._step(2 if many else 1)
        line, keys = self.line, self._keys()
        self._step(2 if many else 1)
        path: Path = ()
        for i, key in enumerate(keys):
            path = (*path, key)
            if many and i == len(keys) - 1:
                self.lines.setdefault(path, line)
                self.counts[path] = self.counts.get(path, 0) + 1
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            self.lines.setdefault(path, line)
        return path

    def _pair(self, table: Path) -> None:
        line, path = self.line, table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._step()  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        """Read a dotted key; the scan is then at what follows it."""
        keys = []
        while True:
            self._skip()
            if self.text[self.at] in "\"'":
                keys.append(self._quoted())
            else:
                end = self.at
                while self.text[end].isalnum() or self.text[end] in "-_":
                    end += 1
                keys.append(self.text[self.at : end])
                self._step(end - self.at)
            self._skip()
            if not self._sees("."):
                return keys
            self._step()

    def _quoted(self) -> str:
        """Read a string of any of the four kinds; return its raw text, which is enough for keys."""
        quote = self.text[self.at]
        mark = quote * 3 if self._sees(quote * 3) else quote
        self._step(len(mark))
        begin = self.at
        while not self._sees(mark):
            self._step(2 if quote == '"' and self._sees("\\") else 1)
        while len(mark) == 3 and self._sees(mark + quote):  # quotes just before the closing ones
            self._step()
        raw = self.text[begin : self.at]
        self._step(len(mark))
        return raw

    def _value(self, path: Path) -> None:
        self._skip()
        here = self.text[self.at]
        if here in "\"'":
            self._quoted()
        elif here == "[":
            self._step()
            n = 0
            while self._skip() and not self._sees("]"):
                self.lines[*path, n] = self.line
                self._value((*path, n))
                n += 1
                self._comma()
            self._step()
        elif here == "{":
            self._step()
            while self._skip() and not self._sees("}"):
                self._pair(path)
                self._comma()
            self._step()
        else:
            while self.at < len(self.text) and self.text[self.at] not in _BARE_ENDS:
                self._step()

    def _comma(self) -> None:
        self._skip()
        if self._sees(","):
            self._step()
