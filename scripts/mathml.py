"""The equations of cells, which docstrings write in plain text, as MathML, which browsers typeset."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

GREEK = dict(zip(
    ("alpha", "beta", "gamma", "epsilon", "theta", "lambda", "mu", "nu", "tau"), "αβγεθλμντ", strict=True,
))  # fmt: skip
FUNCTIONS = {"sigmoid": "σ", "sqrt": "√"} | {
    name: name for name in ("tanh", "exp", "log", "max", "sign", "relu", "silu", "norm", "modReLU", "Re", "Im", "mod")
}
OPERATORS = {"*": "⊙", "-": "−", "'": "′"}
VARIABLES = ("dt",)
"""Names of more than one letter that are one quantity; other words are text."""
TOKEN = re.compile(
    r"(?P<space> +)|(?P<name>[A-Za-z]+)(?P<mark>~?)(?P<below>_(?:\{[^}]*\}|\w+(?:,\w+)*))?(?P<above>\^\w+)?"
    r"(?P<prime>'?)(?P<later>_\w+)?|(?P<number>\d+(?:\.\d+)?)(?P<power>\^\w+)?|(?P<dots>\.\.\.)|(?P<symbol>.)"
)


def typeset(equations: str) -> str:
    """A table of equations, one line of the text each.

    Args:
        equations: in the letters of the code: `_` begins a subscript, ' marks values after the step, * is the
            element-wise product. Several equations in a line have two spaces between them.
    """
    rows = "".join(map(_row, filter(None, map(str.rstrip, equations.splitlines()))))
    return f'<math display="block"><mtable>{rows}</mtable></math>'


def _row(line: str) -> str:
    """A row of the table: what is before the first equality sign, and the rest."""
    indent = f'<mspace width="{(len(line) - len(line.lstrip())) // 4}em"/>'
    left, equals, right = line.strip().partition(" = ")
    if not equals or left.count(" ") > 1:
        return f"<mtr>{_cell('left', indent, line.strip(), span=2)}</mtr>"
    return f"<mtr>{_cell('right', indent, left)}{_cell('left', '<mo>=</mo>', right)}</mtr>"


def _cell(side: str, before: str, text: str, span: int = 1) -> str:
    """A cell of the table. side: where its content is; Chromium reads the style and not the attribute."""
    return f'<mtd columnspan="{span}" style="text-align: {side}">{before}{_terms(text)}</mtd>'


def _terms(text: str) -> str:
    return "".join(_elements(text))


def _elements(text: str) -> Iterator[str]:
    """The MathML elements of a text, one token after the other."""
    for token in TOKEN.finditer(text):
        if token["space"]:
            if len(token["space"]) > 1:
                yield '<mspace width="2em"/>'
        elif token["name"]:
            yield _name(token)
        elif token["number"]:
            base = f"<mn>{token['number']}</mn>"
            yield f"<msup>{base}<mi>{token['power'][1:]}</mi></msup>" if token["power"] else base
        elif token["dots"]:
            yield "<mo>…</mo>"
        else:
            yield f"<mo>{html.escape(OPERATORS.get(token['symbol'], token['symbol']))}</mo>"


def _name(token: re.Match[str]) -> str:
    """A quantity with its subscript, tilde and prime; a function; or a word."""
    name = token["name"]
    if name == "sum":
        index = _subscript(token["below"])
        return f"<munder><mo>∑</mo>{index}</munder>" if index else "<mo>∑</mo>"
    if name in FUNCTIONS:
        space = '<mspace width="0.2em"/>' if token.string[token.end() :].startswith(" ") else ""
        return f'<mi mathvariant="normal">{FUNCTIONS[name]}</mi>{space}'
    if len(name) > 1 and name not in GREEK and name not in VARIABLES:
        return f"<mtext>\N{NO-BREAK SPACE}{name}\N{NO-BREAK SPACE}</mtext>"
    element = f"<mi>{GREEK.get(name, name)}</mi>"
    if token["mark"]:
        element = f"<mover>{element}<mo>~</mo></mover>"
    below = _subscript(token["below"] or token["later"])
    above = f"<mi>{token['above'][1:]}</mi>" if token["above"] else "<mo>′</mo>" if token["prime"] else ""
    if below and above:
        return f"<msubsup>{element}{below}{above}</msubsup>"
    if below:
        return f"<msub>{element}{below}</msub>"
    return f"<msup>{element}{above}</msup>" if above else element


def _subscript(text: str | None) -> str:
    """The MathML of a subscript with its underscore, such as `_{t-k}`; empty for None."""
    if not text:
        return ""
    inner = text[1:].strip("{}")
    parts = re.findall(r"[A-Za-z]+|\d+|.", inner)
    elements = [
        f"<mn>{part}</mn>" if part.isdigit()
        else f"<mi>{GREEK.get(part, part)}</mi>" if part.isalpha()
        else f"<mo>{html.escape(OPERATORS.get(part, part))}</mo>"
        for part in parts
    ]  # fmt: skip
    return f"<mrow>{''.join(elements)}</mrow>"
