"""MkDocs hook: a page for each mover in the registry, with its summary, its picture, and its class's docstring."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pages import add_missing, card, picture

from cases.moving import run_movers
from coupling.registry import LEARNED, MOVERS

PLACEHOLDER = "[[mover]]"
GALLERY = "[[movers]]"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section Movers of the navigation."""
    (section,) = (entry["Movers"] for entry in config.nav if "Movers" in entry)
    section += [f"movers/{name}.md" for name in MOVERS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages of movers about which there is nothing more to say."""
    return add_missing(files, config, "movers", MOVERS, PLACEHOLDER)


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


def gallery() -> str:
    """Return a card for each mover."""
    cards = [card("movers", name, name, entry.summary) for name, entry in MOVERS.items()]
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
    source = picture("movers", name)
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
