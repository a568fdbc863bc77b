"""MkDocs hook: a page for each public module, grouped by folder, read without being imported."""

from __future__ import annotations

import ast
from pathlib import Path

from docstrings import to_markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Folders in the order of the house, and what they are.
FOLDERS = {
    "meshing": "meshes, their geometry and quality, monitor functions, conventional movers",
    "fem": "problems, time steppers, limiters, transfer, forces, exact solutions",
    "learned": "graph networks, losses, data, training, weights; never Firedrake",
    "coupling": "mesh and graph, field and tensor, moving meshes under running solves",
    "cases": "cases, the command line, figures, report, validation",
}


def modules(folder: str) -> list[tuple[str, str]]:
    """Return (dotted name, first line of the docstring) of each public module below a folder."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        if any(part.startswith("_") for part in parts) or docstring is None or "data" in parts:
            continue
        found.append((".".join(parts), docstring.splitlines()[0]))
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section API of the navigation."""
    (section,) = (entry["API"] for entry in config.nav if "API" in entry)
    for folder in FOLDERS:
        section.append({folder: [f"api/{folder}/index.md", *(f"api/{name}.md" for name, _ in modules(folder))]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages: one for each folder with a table of its modules, and those of the modules."""
    for folder, what in FOLDERS.items():
        rows = [f"| [`{name}`](../{name}.md) | {cell(summary)} |" for name, summary in modules(folder)]
        table = "\n".join(["| module | |", "|---|---|", *rows])
        page = f"---\ntitle: {folder}\n---\n\n# `{folder}`\n\n{what[0].upper()}{what[1:]}.\n\n{table}\n"
        files.append(File.generated(config, f"api/{folder}/index.md", content=page))
        for name, _ in modules(folder):
            page = f"---\ntitle: {name}\n---\n\n# `{name}`\n\n::: {name}\n"
            files.append(File.generated(config, f"api/{name}.md", content=page))
    return files


def cell(summary: str) -> str:
    """Return a line of a docstring for a cell of a table."""
    return to_markdown(summary).replace("|", "\\|")
