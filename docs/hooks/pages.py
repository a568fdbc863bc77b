"""What the hooks that make pages of a registry share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parents[1]


def add_missing(files: Files, config: MkDocsConfig, folder: str, names: Iterable[str], placeholder: str) -> Files:
    """Add pages of those about which there is nothing more to say."""
    for name in names:
        if files.get_file_from_path(f"{folder}/{name}.md") is None:
            files.append(File.generated(config, f"{folder}/{name}.md", content=f"{placeholder}\n"))
    return files


def picture(folder: str, name: str) -> str | None:
    """Return the path of a picture from the pages of the folder, None if there is none."""
    file = DOCS / "figures" / folder / f"{name}.webp"
    return f"../figures/{folder}/{file.name}" if file.is_file() else None


def card(folder: str, name: str, title: str, words: str) -> str:
    """Return a card that leads to a page, with its picture."""
    source = picture(folder, name)
    # Raw HTML: its addresses are those of the built site, where this page is a folder.
    image = f'<img src="{source}" alt="" loading="lazy">' if source else ""
    return f'<a href="{name}/">{image}<b>{title}</b><span>{words}</span></a>'
