"""Griffe extension: our docstrings, which are reStructuredText in the numpydoc way, as the Markdown of the site.

Roles become code, cross-references where there is a page, and formulas what arithmatex takes.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

OURS = ("meshing", "fem", "learned", "coupling", "cases")
_MATHS_ROLE = re.compile(r":math:`([^`]+)`")
_ROLE = re.compile(r":(?:\w+:)?(?:mod|class|func|meth|attr|data|exc):`~?([^`]+)`")
_LITERAL = re.compile(r"(?<!`)``(?!`)([^`\n]+)``(?!`)")
# Two units in a row, "[m] [s]", are a link in Markdown; not so in code and formulas.
_UNITS = re.compile(r"(`[^`\n]*`|\$\$.*?\$\$|\\\(.*?\\\))|\](\s?)\[", re.S)
_DIRECTIVE = re.compile(r"^(?P<indent> *)\.\. math::(?P<same>[^\n]*)\n(?P<rest>(?:(?:(?P=indent) +[^\n]*)?\n)*)", re.M)


def to_markdown(text: str) -> str:
    """Return a docstring with its roles, literals and formulas in Markdown."""
    text = _DIRECTIVE.sub(_formula, text + "\n").rstrip("\n")
    text = _MATHS_ROLE.sub(lambda match: rf"\({match[1]}\)", text)
    text = _ROLE.sub(_reference, text)
    text = _LITERAL.sub(r"`\1`", text)
    return _UNITS.sub(lambda match: match[1] or f"]{match[2]}&#91;", text)


def _formula(match: re.Match[str]) -> str:
    """Return a display formula; lines of several equations are aligned, as Sphinx does."""
    lines = [match["same"].strip(), *textwrap.dedent(match["rest"]).splitlines()]
    paragraphs = re.split(r"\n\s*\n", "\n".join(line.rstrip() for line in lines).strip())
    shown = []
    for formula in paragraphs:
        aligned = r"\\" in formula or re.search(r"(?<!\\)&", formula)
        shown.append(rf"\begin{{aligned}}{formula}\end{{aligned}}" if aligned and r"\begin" not in formula else formula)
    indent = match["indent"]
    blocks = "\n\n".join(f"$$\n{formula}\n$$" for formula in shown)
    return "\n" + textwrap.indent(blocks, indent) + "\n\n"


def _reference(match: re.Match[str]) -> str:
    """Return a name as code, as a reference where it is the full name of something of ours."""
    target = match[1].strip()
    if target.split(".")[0] not in OURS:
        return f"`{target}`"
    short = target if target.count(".") < 2 else target.rsplit(".", 1)[1]
    return f'<autoref optional identifier="{target}"><code>{short}</code></autoref>'


class RestToMarkdown(griffe.Extension):
    """Convert each docstring once it has been read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """See griffe."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
