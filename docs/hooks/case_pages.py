"""MkDocs hook: a page for each case in the registry, made of the case's own class, so that it cannot rot.

``docs/cases/NAME.md`` holds what a class does not say, the equations above all, with the line ``[[case]]`` where
description, options, commands, picture and measured figures go. A case without such a file gets a page all the same.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Sequence
from typing import Any

# Firedrake takes its time; OpenMP's threads would compete with the other builds of a machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PETSc reads mkdocs's arguments too and would say at the end which of them it has no use for.
os.environ["PETSC_OPTIONS"] = "-options_left no " + os.environ.get("PETSC_OPTIONS", "")

from docstrings import to_markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pages import DOCS, add_missing, card, picture

from cases.case import Case
from cases.moving import run_movers
from cases.operators.operator_case import OperatorCase
from cases.options import option_names
from cases.registry import CASES, get_case

PLACEHOLDER = "[[case]]"
GALLERY = "[[cases]]"
# Fields, by the folder that a case's module is in.
FIELDS = {
    "": "Shallow water",
    "transport": "Transport",
    "elliptic": "Elliptic",
    "solids": "Solids",
    "flow": "Flow",
    "operators": "Operator networks",
}
_BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section Cases of the navigation."""
    (section,) = (entry["Cases"] for entry in config.nav if "Cases" in entry)
    section += [{field: [f"cases/{name}.md" for name in names]} for field, names in by_field().items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages of the cases about which there is nothing more to say."""
    return add_missing(files, config, "cases", CASES, PLACEHOLDER)


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in the place of ``[[case]]`` what the class of the case says, of ``[[cases]]`` cards of all of them."""
    folder, _, name = page.file.src_uri.removesuffix(".md").rpartition("/")
    if folder != "cases":
        return markdown
    if GALLERY in markdown:
        return markdown.replace(GALLERY, gallery())
    if name in CASES:
        case = get_case(name)
        page.meta.setdefault("title", case.title)
        before, _, after = markdown.partition(PLACEHOLDER)
        return "\n".join([head(case), before, generated(case, page.meta.get("suites", [])), after])
    return markdown


def by_field() -> dict[str, list[str]]:
    """Return the names of the cases by their field."""
    found: dict[str, list[str]] = {field: [] for field in FIELDS.values()}
    for name, place in CASES.items():
        *_, folder, _ = ("", *place.split(":")[0].split(".")[1:])
        found[FIELDS[folder]].append(name)
    return {field: names for field, names in found.items() if names}


def gallery() -> str:
    """Return a card for each case, by field."""
    parts = []
    for field, names in by_field().items():
        cards = []
        for name in names:
            case = get_case(name)
            cards.append(card("cases", name, case.title, f"{name}: {case.summary}"))
        parts += [f"## {field}", f'<div class="gallery">{"".join(cards)}</div>']
    return "\n\n".join(parts)


def head(case: Case) -> str:
    """Return heading, description and picture."""
    parts = [f"# {case.title}", f'<p class="lead" markdown>{case.description}</p>']
    source = picture("cases", case.name)
    if source:
        parts += [
            f"![{case.title}: mesh and solution]({source})",
            f"*`driftmesh run {case.name}{f' --mover {PICTURED}' if case.has_mesh else ''}`, drawn by "
            "`docs/figures/make_cases.py`.*",
        ]
    return "\n\n".join([*parts, ""])


# Mover of the pictures.
PICTURED = "mmpde"


def generated(case: Case, suites: list[str]) -> str:
    """Return how to run a case, its options, what was measured (in suites of other names, too), and where it is."""
    about = inspect.getdoc(type(case)) or ""
    module = type(case).__module__
    return "\n\n".join(
        [
            "## Run it",
            *commands(case),
            *(trained(case.problem) if isinstance(case, OperatorCase) else measured(case.name, *suites)),
            "## Options",
            f"By `--set NAME=VALUE` or under `[options]` of a TOML file; `driftmesh options {case.name}` lists them.",
            options_table(case),
            "## Where it is",
            f"`{module.replace('.', '/')}.py`, [API](../api/{module}.md).",
            to_markdown(about),
            "",
        ]
    )


def commands(case: Case) -> list[str]:
    """Return how a case is run, and what that leaves."""
    if not case.has_mesh:
        return [f"```bash\ndriftmesh run {case.name}\n```", "It writes a `report.html` and says where it is."]
    movers = ",".join(run_movers())
    return [
        f"```bash\ndriftmesh run {case.name} --mover drift\ndriftmesh compare {case.name} --movers {movers}\n```",
        "Both write a `report.html` and say where it is; without `--mover` the mesh stays as it is.",
    ]


def trained(problem: str) -> list[str]:
    """Return what the cards of the networks for a problem say that come with the package."""
    from learned.weights import PRETRAINED, load_card

    cards = {file.stem: load_card(file) for file in sorted(PRETRAINED.glob(f"spon*-{problem}.json"))}
    header = ["| network | weights | updates | minutes | mean error [%] | median [%] | 90 % below [%] | worst [%] |"]
    rows = [
        f"| `{name}` | {card.parameters:,} | {card.epochs:,} | {card.seconds / 60.0:.1f} | "
        + " | ".join(f"{100.0 * card.metrics[key]:.3g}" for key in ("score", "median", "q90", "worst"))
        + " |"
        for name, card in cards.items()
    ]
    if not rows:
        return []
    words = "From the model cards: relative errors in L2 on geometries held out while training. Trained on:"
    on = [f"- `{name}`: {card.data}, seed {card.seed}" for name, card in cards.items()]
    return ["## As trained", "\n".join([*header, "|---|" + "--:|" * 7, *rows]), words, "\n".join(on)]


def options_table(case: Case) -> str:
    """Return name, default, bounds and meaning of each option."""
    rows = ["| option | default | bounds | meaning |", "|---|---|---|---|"]
    for name in option_names(case.Options):
        field = case.Options.model_fields[name]
        limits = [
            form.format(_number(value))
            for rule in field.metadata
            for key, form in _BOUNDS.items()
            if (value := getattr(rule, key, None)) is not None
        ]
        choices = getattr(field.annotation, "__args__", None) if "Literal" in str(field.annotation) else None
        bounds = ", ".join(f"`{choice}`" for choice in choices) if choices else ", ".join(limits)
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | {_number(field.default)} | {bounds} | {meaning} |")
    return "\n".join(rows)


def measured(*names: str) -> list[str]:
    """Return the rows of the tables of benchmarks and validation that are about a case, or a suite about it."""
    parts = []
    for file, words in (("benchmarks.md", "Error reduction"), ("validation.md", "Published values")):
        for header, rows in tables((DOCS / file).read_text("utf-8")):
            mine = [row for row in rows if is_about(row, names)]
            if mine:
                parts += [f"{words} ([how it was measured](../{file})):", "\n".join([*header, *mine])]
    return ["## Measured", *parts] if parts else []


def is_about(row: str, names: Sequence[str]) -> bool:
    """Tell whether the first or second cell of a row is one of the names, or begins with it: "swirl, mmpde: error"."""
    known = [re.escape(name).replace("\\-", "[- ]") for name in names]
    wanted = re.compile(f"(?:{'|'.join(known)})(?:[,:(]|$)", re.IGNORECASE)
    return any(wanted.match(cell) for cell in _cells(row)[:2])


def tables(text: str) -> list[tuple[list[str], list[str]]]:
    """Return (head and rule, rows) of each Markdown table of a text."""
    found = []
    for block in re.findall(r"(?:^\|.*\|[ ]*\n?)+", text, re.MULTILINE):
        lines = block.rstrip("\n").split("\n")
        if len(lines) > 2 and set(lines[1]) <= set("|-: "):
            found.append((lines[:2], lines[2:]))
    return found


def _cells(row: str) -> list[str]:
    return [cell.strip(" `*") for cell in row.strip().strip("|").split("|")]


def _number(value: Any) -> str:
    """Return a default or a bound as it would be written on the command line."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.6g}`"
    return f"`{value}`"
