# SPDX-License-Identifier: Apache-2.0
"""Runs the pickle instructions that torch.save writes, without Python's pickle module: nothing can be executed.

Instructions are those of pickletools. A global becomes an inert `Symbol`, a call becomes an inert `Call` that only
the caller interprets; there is no path from the file to an import, a function or an attribute. Globals outside the
caller's list are refused by name. Memory stays within a small multiple of the file: counts are checked against the
bytes that are left, and the memo is a dict, so a large index costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pybit.formats.raw import fail


@dataclass(frozen=True)
class Symbol:
    """A global that the file names; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Call:
    """A call or construction that the file asks for; never made."""

    symbol: Symbol
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)  #: what SETITEM put into the result (OrderedDict)
    elements: list[Any] = field(default_factory=list)  #: what APPEND put into the result


@dataclass(frozen=True)
class PersistentId:
    """A reference to data outside the pickle (torch: a storage)."""

    value: Any


_MARK = object()
_FIXED = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
# opcode: (width of the length, is text)
_COUNTED = {
    b"X": (4, True),
    b"\x8c": (1, True),
    b"\x8d": (8, True),
    b"T": (4, False),
    b"U": (1, False),
    b"B": (4, False),
    b"C": (1, False),
    b"\x8e": (8, False),
}
_CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None,
    b"\x88": lambda: True,
    b"\x89": lambda: False,
    b"]": list,
    b"}": dict,
    b")": tuple,
    b"\x8f": set,
}
# A state dict of R152x4 with its optimizer takes 100,000 instructions. One byte can make an empty list of 56.
_MAX_STEPS = 2_000_000


class Machine:
    """Reads one pickle of `data` from `at`; `end` is where it stopped. FormatError for all other instructions."""

    def __init__(self, data: bytes, path: object, allowed: Callable[[Symbol], bool], at: int = 0) -> None:
        self._data, self._path, self._allowed, self.end = data, path, allowed, at
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle describes, made of Python's containers, numbers, texts, Symbol, Call and PersistentId."""
        for _ in range(_MAX_STEPS):
            code = self._take(1)
            if code == b".":
                return self._pop()
            if not (self._scalar(code) or self._container(code) or self._reference(code)):
                fail(
                    self._path,
                    f"damaged pickle: instruction {code!r} at byte {self.end - 1} is not one that torch.save writes",
                )
        fail(self._path, f"the pickle takes more than {_MAX_STEPS} instructions; expected a checkpoint")

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.end:
            fail(self._path, "damaged pickle: it ends in the middle; the file is truncated")
        self.end += count
        return self._data[self.end - count : self.end]

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            fail(self._path, f"damaged pickle: text before byte {self.end} is not UTF-8")

    def _line(self) -> str:
        stop = self._data.find(b"\n", self.end, self.end + 1024)
        if stop < 0:
            fail(self._path, "damaged pickle: a line of at most 1024 bytes does not end")
        line = self._take(stop - self.end)
        self._take(1)
        return self._text(line)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            fail(self._path, f"damaged pickle: the stack is empty before byte {self.end}")
        return self._stack.pop()

    def _top(self) -> Any:
        self._stack.append(self._pop())
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                items = self._stack[at + 1 :]
                del self._stack[at:]
                return items
        fail(self._path, f"damaged pickle: no mark before byte {self.end}")

    def _scalar(self, code: bytes) -> bool:
        if code in _FIXED:
            kind = _FIXED[code]
            self._stack.append(struct.unpack(kind, self._take(struct.calcsize(kind)))[0])
        elif code in _COUNTED:
            width, is_text = _COUNTED[code]
            data = self._take(self._number(width))
            self._stack.append(self._text(data) if is_text else data)
        elif code in _CONSTANTS:
            self._stack.append(_CONSTANTS[code]())
        elif code == b"\x8a":
            self._stack.append(int.from_bytes(self._take(self._number(1)), "little", signed=True))
        elif code == b"\x80":
            version = self._number(1)
            if not 2 <= version <= 5:
                fail(self._path, f"expected pickle protocol 2 to 5, got {version}")
        elif code == b"\x95":
            self._number(8)  # a frame's length only helps readers that buffer
        else:
            return False
        return True

    def _container(self, code: bytes) -> bool:
        if code == b"(":
            self._stack.append(_MARK)
        elif code == b"t":
            self._stack.append(tuple(self._pop_mark()))
        elif code in b"\x85\x86\x87":
            items = [self._pop() for _ in range(code[0] - 0x84)]
            self._stack.append(tuple(reversed(items)))
        elif code == b"a":
            item = self._pop()
            self._extend([item])
        elif code == b"e":
            self._extend(self._pop_mark())
        elif code == b"s":
            value, key = self._pop(), self._pop()
            self._update([key, value])
        elif code == b"u":
            self._update(self._pop_mark())
        elif code == b"\x90":
            items = self._pop_mark()
            target = self._top()
            if not isinstance(target, set):
                fail(self._path, f"damaged pickle: ADDITEMS to a {type(target).__name__}")
            target.update(self._hashable(item) for item in items)
        elif code == b"0":
            self._stack[-1:] = []
        else:
            return False
        return True

    def _hashable(self, key: Any) -> Any:
        if not isinstance(key, (str, bytes, int, float, type(None))):
            fail(self._path, f"a dictionary key or set element is a {type(key).__name__}, expected text or a number")
        return key

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, (list, Call)):
            (target if isinstance(target, list) else target.elements).extend(items)
        else:
            fail(self._path, f"damaged pickle: APPEND to a {type(target).__name__}")

    def _update(self, items: list[Any]) -> None:
        target = self._top()
        if len(items) % 2 or not isinstance(target, (dict, Call)):
            fail(self._path, f"damaged pickle: SETITEMS of {len(items)} values to a {type(target).__name__}")
        pairs = target if isinstance(target, dict) else target.items
        for key, value in zip(items[::2], items[1::2], strict=True):
            pairs[self._hashable(key)] = value

    def _reference(self, code: bytes) -> bool:
        if code in (b"q", b"r"):
            self._memo[self._number(1 if code == b"q" else 4)] = self._top()
        elif code == b"\x94":
            self._memo[len(self._memo)] = self._top()
        elif code in (b"h", b"j"):
            index = self._number(1 if code == b"h" else 4)
            if index not in self._memo:
                fail(self._path, f"damaged pickle: nothing was kept under number {index}")
            self._stack.append(self._memo[index])
        elif code == b"c":
            module = self._line()
            self._symbol(module, self._line())
        elif code == b"\x93":
            name, module = self._pop(), self._pop()
            if not isinstance(name, str) or not isinstance(module, str):
                fail(self._path, "damaged pickle: a global's name is not text")
            self._symbol(module, name)
        elif code == b"Q":
            self._stack.append(PersistentId(self._pop()))
        elif code in (b"R", b"\x81"):
            arguments, symbol = self._pop(), self._pop()
            if not isinstance(symbol, Symbol) or not isinstance(arguments, tuple):
                fail(self._path, f"damaged pickle: a call of a {type(symbol).__name__}, expected a named function")
            self._stack.append(Call(symbol, arguments))
        elif code == b"b":
            state, target = self._pop(), self._top()
            if not isinstance(target, Call):
                fail(self._path, f"damaged pickle: BUILD of a {type(target).__name__}")
            target.state = state
        else:
            return False
        return True

    def _symbol(self, module: str, name: str) -> None:
        symbol = Symbol(module, name)
        if not self._allowed(symbol):
            fail(
                self._path,
                f"the pickle refers to '{symbol}', which a state dict does not need; nothing was executed. "
                "If you trust the file, save model.state_dict() alone with the program that wrote it",
            )
        self._stack.append(symbol)
