"""A user's arithmetic over named figures: parsed once, checked against a short list of what is allowed, evaluated.

Allowed are numbers, names, + − * / ** %, comparisons, `and`, `or`, `not`, `a if b else c`, and the functions of
`FUNCTIONS`. Nothing else is: no attribute, index, text, keyword or call of anything else, so that a settings file can
compute and do nothing.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs, "sqrt": math.sqrt, "log": math.log}

LONGEST = 500
DEEPEST = 50
"""Characters of an expression, and how deep it may be nested."""

LARGEST_POWER = 64.0
"""An exponent beyond this is refused as it is evaluated."""

Figures = Mapping[str, float | None]
Compiled = Callable[[Figures], Any]


class Expression:
    """One parsed expression.

    >>> Expression("max(0, rmse - 2) * n", ["rmse", "n"]).value({"rmse": 2.5, "n": 100})
    50.0
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        """Parse and check.

        Raises:
            ValueError: it is no expression, or holds what is not allowed; the text says what, and what is.

        """
        self.text = text
        if len(text) > LONGEST:
            raise ValueError(f"an expression has at most {LONGEST} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"{text!r} is no expression: {getattr(error, 'msg', None) or error}") from error
        self._compiled = _Compiler(names).of(tree)

    def value(self, figures: Figures) -> float | None:
        """The number that it comes to; None where a figure is not defined, or the result is not finite."""
        try:
            result = float(self._compiled(figures))
        except (ArithmeticError, ValueError, TypeError, KeyError):
            return None
        return result if math.isfinite(result) else None


class _Compiler:
    """Nodes of a syntax tree to functions of figures; a figure that is None raises TypeError where it is used."""

    def __init__(self, names: Collection[str]) -> None:
        self._names, self._depth = names, 0

    def of(self, node: ast.expr) -> Compiled:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"an expression is nested at most {DEEPEST} deep")
        made = self._made(node)
        self._depth -= 1
        if made is None:
            allowed = f"use numbers, figures, + - * / ** %, comparisons, and {', '.join(FUNCTIONS)}"
            raise ValueError(f"{ast.unparse(node)!r} is not allowed: {allowed}")
        return made

    def _made(self, node: ast.expr) -> Compiled | None:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                number = float(value)
                return lambda _: number
            case ast.Name(id=name):
                return self._named(name)
            case ast.IfExp(test=test, body=body, orelse=other):
                asked, then, otherwise = self.of(test), self.of(body), self.of(other)
                return lambda figures: then(figures) if asked(figures) else otherwise(figures)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS and args:
                function, parts = FUNCTIONS[name], [self.of(each) for each in args]
                return lambda figures: function(*(part(figures) for part in parts))
            case _:
                return self._operated(node)

    def _operated(self, node: ast.expr) -> Compiled | None:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                binary, one, other = _BINARY[type(op)], self.of(left), self.of(right)
                return lambda figures: binary(one(figures), other(figures))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                unary, inner = _UNARY[type(op)], self.of(operand)
                return lambda figures: unary(inner(figures))
            case ast.BoolOp(op=op, values=values):
                together, parts = all if isinstance(op, ast.And) else any, [self.of(each) for each in values]
                return lambda figures: together(part(figures) for part in parts)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARED for op in ops):
                sides, compared = [self.of(each) for each in (left, *others)], [_COMPARED[type(op)] for op in ops]
                return lambda figures: _holds(compared, [side(figures) for side in sides])
        return None

    def _named(self, name: str) -> Compiled:
        if name not in self._names:
            raise ValueError(f"{name!r} is no figure: use {', '.join(sorted(self._names))}")
        return lambda figures: _defined(figures[name])


def _holds(compared: list[Callable[[Any, Any], bool]], values: list[Any]) -> bool:
    return all(compare(values[i], values[i + 1]) for i, compare in enumerate(compared))


def _defined(value: float | None) -> float:
    if value is None:
        raise TypeError("the figure is not defined")
    return float(value)


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > LARGEST_POWER:
        raise ValueError("the exponent is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("a root of a negative number")
    return float(result)


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod, ast.Pow: _power,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
}  # fmt: skip
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
