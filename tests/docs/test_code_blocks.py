"""Every code block of README and site runs, page by page and in order; what is too long is checked for its syntax.

A block after ``<!-- not run: reason -->`` is only checked. A command of a case runs as it stands, with the options of
``Case.smallest`` added, so that the page says what users want and the test takes seconds.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from blocks import LANGUAGES, ROOT, Block, blocks, check_command, pages, parse_driftmesh
from matplotlib.figure import Figure

from cases.cli import main
from cases.options import build_options, parse_assignment
from cases.registry import CASES, get_case
from cases.run import SIMULATIONS

PAGES = [page for page in pages() if blocks(page)]
# Figures take longer than such runs do: they are drawn where a reader begins, and left out on the other pages.
DRAWN = ROOT / "docs" / "index.md"
SMALL_MONAI = {"resolution": 0.4, "t_end": 1, "output_interval": 0.5}


def smallest(case: str) -> dict:
    """Return the options of the smallest run of a case."""
    return dict(get_case(case).smallest) or (SMALL_MONAI if case == "monai" else {})


def assignments(options: dict) -> list[str]:
    """Return the arguments that set options."""
    return [word for key, value in options.items() for word in ("--set", f"{key}={value}")]


def run_command(words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one of our commands in this process, small."""
    given = parse_driftmesh(words[1:])
    extra: list[str] = []
    if given["command"] in ("run", "compare") and given["case"] in CASES:
        # What the page sets has to be valid, also where the smallest run sets it, too.
        case = get_case(given["case"])
        build_options(case.Options, dict(parse_assignment(text) for text in given["assignment"] or ()))
        extra = assignments(smallest(case.name))
    monkeypatch.setattr(sys, "argv", [*words, *extra])
    with pytest.raises(SystemExit) as exit:
        main()
    said = capfd.readouterr()
    assert exit.value.code == 0, said.err[-2000:] or said.out[-2000:]


def check_toml(block: Block) -> None:
    """Check that a configuration file is one of a case there is, with options it has."""
    config = tomllib.loads(block.code)
    if config.get("case") in CASES:
        build_options(get_case(config["case"]).Options, config.get("options", {}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    if page != DRAWN:
        for simulation in SIMULATIONS.values():
            monkeypatch.setattr(simulation, "_draw", lambda *_: [])
        monkeypatch.setattr("cases.compare_figure.comparison_figure", lambda *_: Figure())
    names: dict = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "toml":
            check_toml(block)
        elif block.language == "yaml":
            yaml.safe_load(block.code)
        elif block.language == "python" and block.reason is not None:
            ast.parse(block.code)
        elif block.language == "python":
            exec(compile(block.code, str(block), "exec"), names)
        elif block.language == "bash":
            for words in block.commands():
                check_command(words)
                if block.reason is None:
                    run_command(words, capfd, monkeypatch)


def test_every_block_says_what_it_is() -> None:
    found = [block for page in PAGES for block in blocks(page)]
    assert len(found) > 20
    assert [str(block) for block in found if block.language.split(" ")[0] not in LANGUAGES] == []
    # Text is shown, not run: nobody is to hide a command in it.
    hidden = [block for block in found if block.language == "text" and "driftmesh run" in block.code]
    assert [str(block) for block in hidden] == []


def test_reasons_are_given_in_the_source_only_to_what_follows() -> None:
    for page in PAGES:
        marks = page.read_text("utf-8").count("<!-- not run:")
        assert marks == sum(block.reason is not None for block in blocks(page)), page
