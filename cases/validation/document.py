"""The page of all suites: a section each, made anew when its suite has run, the others kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cases.run_folder import write_atomically

_HEAD = (
    "# Validation\n\nMade by `driftmesh validate`: published values and guarantees beside what was measured. "
    "`driftmesh validate SUITE --table docs/validation.md` makes the section of one suite anew.\n"
)
_SECTION = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def read_sections(path: Path) -> dict[str, str]:
    """Return the sections of a page by the name of their suite; none for a page that is not there."""
    text = path.read_text() if path.is_file() else ""
    return {match[1]: match[2].strip("\n") for match in _SECTION.finditer(text)}


def write_sections(path: Path, made: Mapping[str, str], order: Iterable[str]) -> None:
    """Write a page, with the sections that were there before where there are no new ones.

    Parameters
    ----------
    path
        Markdown file.
    made
        New sections by the name of their suite.
    order
        Names of all suites there are; a section of another name is dropped.
    """
    sections = read_sections(path) | dict(made)
    parts = [f"## {name}\n\n{sections[name]}\n" for name in order if name in sections]
    write_atomically(path, "\n".join([_HEAD, *parts]))
