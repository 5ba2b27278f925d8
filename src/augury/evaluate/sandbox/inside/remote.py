"""The tests' stand-in for an object that stays with the program.

Nothing that the object says decides a verdict by itself. Tests get plain values from it
(attributes, items, texts, sums), which they compare here, or more such objects. It equals no plain
value, whatever its own `__eq__` says, and two of them are equal only if the program says so *and*
their contents are equal. Ordering is not allowed: the answer would be the program's word alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def _operation(name: str, swapped: bool = False) -> Callable[..., Any]:
    def operation(self: Remote, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        return self._of().ask(f".{name}", operands)

    return operation


def _no_order(self: Remote, other: object) -> bool:
    raise self._of().refused("the tests compare the program's own objects by order")


class Remote:
    """An object of the program, identified by its number."""

    __slots__ = ("_number", "_of")

    def __init__(self, candidate: Any, number: int) -> None:
        object.__setattr__(self, "_of", lambda: candidate)
        object.__setattr__(self, "_number", lambda: number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # what Python looks up on every object
        return self._of().ask(".get", (self, name))

    def __setattr__(self, name: str, value: Any) -> None:
        self._of().ask(".set", (self, name, value))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._of().ask(".call", (self, *arguments), keywords)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._of().ask(".items", (self,)))

    def __len__(self) -> int:
        return int(self._of().ask(".length", (self,)))

    def __bool__(self) -> bool:
        return bool(self._of().ask(".true", (self,)))

    def __str__(self) -> str:
        return str(self._of().ask(".text", (self,)))

    def __repr__(self) -> str:
        return str(self._of().ask(".shown", (self,)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remote):
            return False
        if self._number() == other._number():
            return True
        answer = self._of().ask(".equal", (self, other))
        return (
            isinstance(answer, list)
            and len(answer) == 3
            and answer[0] is True
            and bool(answer[1] == answer[2])
        )

    def __hash__(self) -> int:
        return hash(("object of the program", self._number()))

    __getitem__ = _operation("item")
    __setitem__ = _operation("set item")
    __lt__ = __le__ = __gt__ = __ge__ = _no_order
    __add__, __radd__ = _operation("add"), _operation("add", True)
    __sub__, __rsub__ = _operation("sub"), _operation("sub", True)
    __mul__, __rmul__ = _operation("mul"), _operation("mul", True)
    __truediv__, __rtruediv__ = _operation("truediv"), _operation("truediv", True)
    __floordiv__, __rfloordiv__ = _operation("floordiv"), _operation("floordiv", True)
    __mod__, __rmod__ = _operation("mod"), _operation("mod", True)
    __pow__, __rpow__ = _operation("pow"), _operation("pow", True)
    __matmul__, __rmatmul__ = _operation("matmul"), _operation("matmul", True)
    __and__, __rand__ = _operation("and_"), _operation("and_", True)
    __or__, __ror__ = _operation("or_"), _operation("or_", True)
    __xor__, __rxor__ = _operation("xor"), _operation("xor", True)
    __neg__, __pos__, __abs__ = _operation("neg"), _operation("pos"), _operation("abs")
