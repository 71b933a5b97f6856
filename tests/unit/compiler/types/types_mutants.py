"""Programs one step away from right ones: a few tokens of a right program replaced by likely others.

Unlike random tokens most of these parse, so that they reach checking, elaboration, lowering and the back
ends, with the mistakes that people make: a wrong name, type, operator, width or order.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from types_harness import frame

from p4cats.compiler.parse.lexer import ID, INT, lex
from p4cats.compiler.source import Source

CLASSES = [
    line.split()
    for line in """
        + - * / % & | ^ ++ |+| |-| << >>
        == != < <= > >= && ||
        = += -= *= &= |= ^= <<= >>= |+|=
        in out inout
        bool bit<8> bit<16> int<8> bit<32> error h_t pair_t int string varbit<8> tuple<bit<8>,bool> void
        true false
        exit return break continue
        exact lpm ternary range optional selector
        accept reject start
        header struct header_union
        next last lastIndex isValid() size setValid() hit miss action_run
        - ~ ! +
        &&& ..
        """.strip().splitlines()
]
NUMBERS = """0 1 2 3 7 8 255 256 65536 8w1 8w255 16w3 4w2 1w1 8s1 0xFFFFFFFFFF
    1000000""".split()  # noqa: SIM905 - read as a line
CLASS_OF = {word: words for words in CLASSES for word in words if word not in {"<", ">"}}
"""No entry for the signs that are brackets as well."""
WIDE = re.compile(r"(bit|int|varbit)<")
SEPARATOR = "\x00"
_WIDTH = re.compile(rf"\b(bit|int|varbit){SEPARATOR}<{SEPARATOR}(\w+){SEPARATOR}>")


def tokens_of(program: str) -> list[str]:
    """The words of a program; preprocessor lines keep their line."""
    found = []
    for token in lex(Source("", program)):
        found.append(f"\n{token.text}\n" if token.kind == "DIRECTIVE" else token.text)
    return _WIDTH.sub(r"\1<\2>", SEPARATOR.join(found)).split(SEPARATOR)


def mutant(chance: random.Random, words: list[str]) -> str:
    """Change one to three tokens."""
    words = list(words)
    kinds = {w: t.kind for w in set(words) if w not in CLASS_OF for t in lex(Source("", w))[:1]}
    names = [w for w in words if kinds.get(w) == ID]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        inside = _inside(words) if chance.random() < 0.9 else range(len(words))
        at = chance.choice(inside)
        for _ in range(200):  # most tokens are punctuation, which has no substitute
            if words[at] in CLASS_OF or WIDE.match(words[at]) or kinds.get(words[at]) in {ID, INT}:
                break
            at = chance.choice(inside)
        _change(chance, words, at, names, kinds)
    return " ".join(words)


def _inside(words: list[str]) -> Sequence[int]:
    """The bodies of states, actions, tables and apply: the rest is much the same in all programs."""
    found, depth = [], 0
    for i, word in enumerate(words):
        depth += (word == "{") - (word == "}")
        if depth >= 2:
            found.append(i)
    return found or range(len(words))


def _change(
    chance: random.Random, words: list[str], at: int, names: list[str], kinds: dict[str, str]
) -> None:
    word = words[at]
    match chance.randrange(12):
        case 0:
            _remove_statement(words, at)
        case 1:
            _repeat_statement(words, at)
        case 2:
            _swap_arguments(words, at)
        case _ if word in CLASS_OF or WIDE.match(word):
            words[at] = chance.choice(CLASS_OF.get(word, CLASS_OF["bool"]))
        case 3 if kinds.get(word) == ID:
            words[at] = chance.choice(NUMBERS)
        case _ if kinds.get(word) == INT:
            words[at] = chance.choice(NUMBERS + names[:20])
        case _:
            near = [w for w in words[max(0, at - 80) : at + 80] if kinds.get(w) == ID]
            words[at] = chance.choice(near or names)


def _statement(words: list[str], at: int) -> tuple[int, int]:
    stops = {";", "{", "}"}
    begin = end = at
    while begin > 0 and words[begin - 1] not in stops:
        begin -= 1
    while end < len(words) - 1 and words[end] not in stops:
        end += 1
    return begin, end + (words[end] == ";")


def _remove_statement(words: list[str], at: int) -> None:
    begin, end = _statement(words, at)
    if end - begin < len(words) // 2:
        del words[begin:end]
    if not words:
        words.append(";")


def _repeat_statement(words: list[str], at: int) -> None:
    begin, end = _statement(words, at)
    words[begin:begin] = words[begin:end]


def _swap_arguments(words: list[str], at: int) -> None:
    """`a , b` becomes `b , a` at the next comma."""
    for i in range(max(1, at), min(len(words) - 1, at + 40)):
        if words[i] == ",":
            words[i - 1], words[i + 1] = words[i + 1], words[i - 1]
            return


def framed(pieces: dict[str, dict[str, str]]) -> list[list[str]]:
    """The words of pieces in their frames."""
    return [tokens_of(frame(**piece)) for piece in pieces.values()]
