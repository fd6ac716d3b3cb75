"""SVG inside a page: without addresses of elsewhere, with names of its own, and in the colours of the
page."""

from __future__ import annotations

import re

from unravelnet.escaping import for_html
from unravelnet.figures import style

_VARIABLE_OF_COLOUR = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.FAINT: "var(--faint)",
    style.GRID: "var(--grid)",
    style.PAPER: "var(--paper)",
}


def inline_svg(svg: str, *, name: str, title: str, description: str) -> str:
    """Make SVG text that stands inside an HTML page as an image with a name that can be read aloud.

    `name`: put before every identifier, since those of several figures would be the same. `title`,
    `description`: plain text. Colours of ink and paper become variables of the page (`--ink`, `--muted`,
    `--faint`, `--grid`, `--paper`), so that it may be read in the dark. The size follows the page.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", body, count=1, flags=re.DOTALL)
    body = _with_own_names(body.replace("xlink:href", "href"), name)
    for colour, variable in _VARIABLE_OF_COLOUR.items():
        body = body.replace(colour, variable)
    view = re.search(r'viewBox="[^"]*"', body[: body.index(">")])
    assert view is not None, "matplotlib writes a viewBox"
    start = (
        f'<svg class="drawing" {view[0]} role="img" aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{for_html(title)}</title>'
        f'<desc id="{name}-description">{for_html(description)}</desc>'
    )
    return start + re.sub(r"\n\s*", "\n", body[body.index(">") + 1 :])


def _with_own_names(body: str, name: str) -> str:
    """Keep the identifiers that something refers to, with `name` before them."""
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    return re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
