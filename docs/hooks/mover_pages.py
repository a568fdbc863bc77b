"""MkDocs hook: a page for each mover in the registry, with its summary, its picture, and its class's docstring."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from cases.moving import run_movers
from coupling.registry import LEARNED, MOVERS

DOCS = Path(__file__).parents[1]
PLACEHOLDER = "[[mover]]"
GALLERY = "[[movers]]"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section Movers of the navigation."""
    (section,) = (entry["Movers"] for entry in config.nav if "Movers" in entry)
    section += [f"movers/{name}.md" for name in MOVERS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages of movers about which there is nothing more to say."""
    for name in MOVERS:
        if files.get_file_from_path(f"movers/{name}.md") is None:
            files.append(File.generated(config, f"movers/{name}.md", content=f"{PLACEHOLDER}\n"))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in the place of ``[[mover]]`` what registry and class say, of ``[[movers]]`` cards of all of them."""
    folder, _, name = page.file.src_uri.removesuffix(".md").rpartition("/")
    if folder != "movers":
        return markdown
    if GALLERY in markdown:
        return markdown.replace(GALLERY, gallery())
    if name in MOVERS:
        page.meta.setdefault("title", name)
        before, _, after = markdown.partition(PLACEHOLDER)
        return "\n".join([head(name), before, after, reference(name)])
    return markdown


def picture(name: str) -> str | None:
    """Return the path of a mover's picture from the pages of the movers, None if there is none."""
    file = DOCS / "figures" / "movers" / f"{name}.webp"
    return f"../figures/movers/{file.name}" if file.is_file() else None


def gallery() -> str:
    """Return a card for each mover."""
    cards = []
    for name, entry in MOVERS.items():
        source = picture(name)
        # Raw HTML: its addresses are those of the built site, where this page is a folder.
        image = f'<img src="{source}" alt="" loading="lazy">' if source else ""
        cards.append(f'<a href="{name}/">{image}<b>{name}</b><span>{entry.summary}</span></a>')
    return f'<div class="gallery">{"".join(cards)}</div>'


def head(name: str) -> str:
    """Return heading, summary and picture of a mover."""
    entry = MOVERS[name]
    dimensions = " and ".join(f"{dimension}D" for dimension in entry.dimensions)
    kind = "Learned; needs torch" if name in LEARNED else "Conventional"
    parts = [
        f"# {name}",
        f'<p class="lead" markdown>{entry.summary[0].upper()}{entry.summary[1:]}.</p>',
        f"{kind}; {dimensions}.",
    ]
    source = picture(name)
    if source:
        parts.append(f"![A lattice of the unit square that {name} has moved]({source}){{ width=460 }}")
    if name in run_movers():
        parts.append(f"```bash\ndriftmesh run swirl --mover {name}\n```")
    return "\n\n".join([*parts, ""])


def reference(name: str) -> str:
    """Return the class with all that its docstring says."""
    place = MOVERS[name].place.replace(":", ".")
    options = "    options:\n      show_root_heading: true\n      members: false\n      heading_level: 3\n"
    return f"\n## The class\n\n::: {place}\n{options}"
