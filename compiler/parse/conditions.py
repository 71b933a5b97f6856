"""The constant expressions of `#if` and `#elif` (ISO C, section 6.10.1)."""

from __future__ import annotations

import re

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse.lexer import BAD, CHAR, INT, Token
from p4cats.compiler.parse.macros import Macros
from p4cats.compiler.source import Span

_PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)[uUlL]*")
MAX_DEPTH = 100


class _BadConditionError(Exception):
    def __init__(self, message: str, token: Token | None) -> None:
        super().__init__(message)
        self.token = token


def evaluate(tokens: list[Token], macros: Macros, reporter: Reporter, where: Span) -> bool:
    """Whether the condition holds; a malformed one is reported and counts as false."""
    try:
        resolved = _resolve_defined(tokens, macros)
        value = _Evaluator(macros.expand(resolved)).whole()
    except _BadConditionError as error:
        reporter.error(error.token.span if error.token else where, f"malformed #if condition: {error}")
        return False
    return value != 0


def _resolve_defined(tokens: list[Token], macros: Macros) -> list[Token]:
    """Replace `defined X` and `defined(X)` by 1 or 0, before macros are expanded."""
    out: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.text != "defined":
            out.append(token)
            continue
        kinds = [t.kind for t in tokens[index : index + 3]]
        if kinds[:1] == ["("] and kinds[2:] == [")"]:
            name, index = tokens[index + 1], index + 3
        elif kinds and kinds[0] != "(":
            name, index = tokens[index], index + 1
        else:
            raise _BadConditionError("'defined' needs a macro name", token)
        value = "1" if name.text in macros.table else "0"
        out.append(Token(INT, value, token.source, token.start, token.end))
    return out


def _wrap(value: int) -> int:
    """To intmax_t, 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


class _Evaluator:
    """Precedence climbing over the tokens; `live` is false where C would not evaluate."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.index].text if self.index < len(self.tokens) else "end of line"

    def take(self) -> Token:
        if self.index >= len(self.tokens):
            raise _BadConditionError("a value is missing", self.tokens[-1] if self.tokens else None)
        self.index += 1
        return self.tokens[self.index - 1]

    def expect(self, text: str) -> None:
        if self.peek() != text:
            token = self.tokens[self.index] if self.index < len(self.tokens) else self.tokens[-1]
            raise _BadConditionError(f"expected '{text}'", token)
        self.index += 1

    def whole(self) -> int:
        value = self.conditional()
        if self.index < len(self.tokens):
            raise _BadConditionError(f"unexpected '{self.peek()}'", self.tokens[self.index])
        return value

    def conditional(self, live: bool = True) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _BadConditionError("nested too deeply", self.tokens[self.index - 1])
        value = self.binary(1, live)
        if self.peek() == "?":
            self.index += 1
            then = self.conditional(live and value != 0)
            self.expect(":")
            other = self.conditional(live and value == 0)
            value = then if value else other
        self.depth -= 1
        return value

    def binary(self, minimum: int, live: bool) -> int:
        left = self.unary(live)
        while (precedence := _PRECEDENCE.get(self.peek(), 0)) >= minimum:
            token = self.take()
            op = token.text
            right_live = live and not (op == "&&" and not left) and not (op == "||" and left)
            right = self.binary(precedence + 1, right_live)
            if op in {"/", "%"} and right == 0:
                if right_live:
                    raise _BadConditionError("division by zero", token)
                left = 0
            else:
                left = _wrap(_apply(op, left, right))
        return left

    def unary(self, live: bool) -> int:
        signs = []
        while self.peek() in {"!", "~", "-", "+"}:
            signs.append(self.take().text)
        value = self.primary(live)
        for sign in reversed(signs):
            value = {"!": int(not value), "~": ~value, "-": -value, "+": value}[sign]
        return _wrap(value)

    def primary(self, live: bool) -> int:
        token = self.take()
        if token.kind == "(":
            value = self.conditional(live)
            self.expect(")")
            return value
        if token.kind in {INT, BAD} and (match := _NUMBER.fullmatch(token.text)):
            digits = match[1]
            if len(digits) > 70:
                raise _BadConditionError("number is too long", token)
            if digits[:2].lower() in {"0x", "0b"}:
                return _wrap(int(digits, 0))
            octal = len(digits) > 1 and digits[0] == "0"
            if octal and set(digits) & {"8", "9"}:
                raise _BadConditionError(f"malformed octal number '{token.text}'", token)
            return _wrap(int(digits, 8 if octal else 10))
        if token.kind == CHAR:
            return ord(token.text[-2])
        if token.text[0].isalpha() or token.text[0] == "_":
            return 0
        raise _BadConditionError(f"'{token.text}' is no value", token)


def _apply(op: str, left: int, right: int) -> int:
    match op:
        case "||":
            return int(bool(left or right))
        case "&&":
            return int(bool(left and right))
        case "|":
            return left | right
        case "^":
            return left ^ right
        case "&":
            return left & right
        case "==":
            return int(left == right)
        case "!=":
            return int(left != right)
        case "<":
            return int(left < right)
        case ">":
            return int(left > right)
        case "<=":
            return int(left <= right)
        case ">=":
            return int(left >= right)
        case "<<":
            return left << (right & 63)
        case ">>":
            return left >> (right & 63)
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return quotient if op == "/" else left - quotient * right
