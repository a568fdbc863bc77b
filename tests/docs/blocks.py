"""Fenced code of the documentation, and what is asked of a block that is not run."""

from __future__ import annotations

import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LANGUAGES = ("python", "bash", "toml", "yaml", "text")
_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?(?P<fence>`{3,})(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)
_SNIPPET = re.compile(r'^--8<-- "([^":]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes
    ----------
    page, line
        Where it begins.
    language, code
        Info string of the fence, and what is inside, with snippets put in.
    reason
        Why it is not run; None for one that is.
    """

    page: Path
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command of a shell block, without comments."""
        joined = self.code.replace("\\\n", " ")
        return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def pages() -> list[Path]:
    """Return the Markdown files that people read: README and those of the site."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            page,
            1 + text.count("\n", 0, match.start("fence")),
            match["language"].strip(),
            _SNIPPET.sub(_included, match["code"]),
            match["reason"],
        )
        for match in _FENCE.finditer(text)
    ]


def _included(match: re.Match[str]) -> str:
    """Return the file that mkdocs puts in the place of a snippet."""
    found = [folder / match[1] for folder in (DOCS, ROOT) if (folder / match[1]).is_file()]
    return found[0].read_text("utf-8")


def check_command(words: list[str]) -> None:
    """Check that a command could be run: its program, subcommand, options, files and targets exist."""
    program, *rest = words
    if program == "mpiexec":
        assert rest[0] == "-n" and rest[1].isdigit(), words
        check_command(rest[2:])
    elif program == "driftmesh":
        parse_driftmesh(rest)
    elif program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in rest if "=" not in word} <= targets, words
    elif program == "python" and rest[0] == "-m":
        assert importlib.util.find_spec(rest[1]) is not None, words
    elif program in ("python", "bash", "."):
        assert rest[0] == ".venv/bin/activate" or (ROOT / rest[0]).is_file(), words
    else:
        assert (ROOT / program).is_file(), f"{program}: no program that these tests know"


def parse_driftmesh(words: list[str]) -> dict:
    """Parse a command line of ours as the command does; return the parameters."""
    import typer.main

    from cases.cli import app

    group = typer.main.get_command(app)
    context = group.make_context("driftmesh", list(words), resilient_parsing=True)  # type: ignore[attr-defined]
    name, command, rest = group.resolve_command(context, list(words))  # type: ignore[attr-defined]
    return {"command": name, **command.make_context(name, rest, parent=context).params}
