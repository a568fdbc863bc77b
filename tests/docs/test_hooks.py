"""What the hooks of the site make of docstrings, options and tables."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cases.registry import CASES
from coupling.registry import MOVERS

DOCS = Path(__file__).parents[2] / "docs"


def hook(name: str) -> ModuleType:
    """Load a hook as mkdocs does: by its path."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.path.copy()
    sys.path.insert(0, str(DOCS / "hooks"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


@pytest.mark.parametrize(
    ("rest", "markdown"),
    [
        ("Solve :math:`-\\Delta u = f`.", "Solve \\(-\\Delta u = f\\)."),
        ("See ``Mover`` and :class:`numpy.ndarray`.", "See `Mover` and `numpy.ndarray`."),
        ("At points [m] [s] of it.", "At points [m] &#91;s] of it."),
        ("Shape ``a[i][j]``.", "Shape `a[i][j]`."),
        ("As\n\n.. math:: a = b\n\nsays.", "As\n\n\n$$\na = b\n$$\n\nsays."),
        ("As\n\n.. math::\n    a &= b \\\\\n    c &= d\n\nsays.", "\\begin{aligned}a &= b \\\\\nc &= d\\end{aligned}"),
    ],
)
def test_docstrings_become_markdown(rest: str, markdown: str) -> None:
    assert markdown in hook("docstrings").to_markdown(rest)


def test_a_reference_leads_to_the_page_if_there_is_one() -> None:
    text = hook("docstrings").to_markdown("See :func:`fem.maximum.maximum_of`, or :mod:`fem.maximum`.")
    assert '<autoref optional identifier="fem.maximum.maximum_of"><code>maximum_of</code></autoref>' in text
    assert '<autoref optional identifier="fem.maximum"><code>fem.maximum</code></autoref>' in text


def test_every_option_stands_on_the_page_of_its_case() -> None:
    from cases.registry import get_case

    pages = hook("case_pages")
    case = get_case("monai")
    rows = pages.options_table(case).splitlines()
    assert len(rows) == 2 + len(case.Options.model_fields)
    (row,) = (row for row in rows if "`resolution`" in row)
    assert "`0.1`" in row and "> `0.005`, ≤ `0.6`" in row and "side of the squares" in row
    (row,) = (row for row in rows if "`transfer`" in row)
    assert "`remap`, `ale`" in row


def test_measured_rows_are_found_in_tables() -> None:
    pages = hook("case_pages")
    text = "# One\n\n| case | error |\n|---|--:|\n| swirl | 1 |\n| `burgers` | 2 |\n\ntext | with a bar\n"
    ((head, rows),) = pages.tables(text)
    assert head == ["| case | error |", "|---|--:|"]
    assert rows == ["| swirl | 1 |", "| `burgers` | 2 |"]


def test_rows_belong_to_the_case_they_name() -> None:
    is_about = hook("case_pages").is_about
    assert is_about("| burgers | 1 |", ["burgers"])
    assert is_about("| transport | burgers, mmpde: mass drift |", ["burgers"])
    assert is_about("| Taylor-Green | order |", ["taylor-green"])
    assert is_about("| heated cavity | Nu |", ["heated-cavity"])
    assert is_about("| DFG 2D-2 | lift |", ["cylinder-wake", "DFG 2D-2"])
    assert not is_about("| burgers-2d | 1 |", ["burgers"])
    assert not is_about("| transport | burgers-2d, um2n: |", ["burgers"])


def test_every_case_and_mover_has_prose_and_no_other() -> None:
    for folder, names in (("cases", CASES), ("movers", MOVERS)):
        found = {page.stem for page in (DOCS / folder).glob("*.md")} - {"index"}
        assert found == set(names), f"docs/{folder}: a page for each, named like it"
        for name in names:
            placeholder = f"[[{folder[:-1]}]]"
            assert placeholder in (DOCS / folder / f"{name}.md").read_text("utf-8"), f"{name}: expected {placeholder}"


def test_every_case_has_its_field() -> None:
    pages = hook("case_pages")
    assert sorted(name for names in pages.by_field().values() for name in names) == sorted(CASES)


def test_api_has_every_public_module() -> None:
    pages = hook("api_pages")
    found = dict(entry for folder in pages.FOLDERS for entry in pages.modules(folder))
    assert {"meshing.mmpde", "fem.problems.shallow_water", "learned.movers.drift", "cases.cli"} <= found.keys()
    assert "cases.data.make_monai" not in found and "meshing" not in found
    assert all(found.values())
