"""How the console's pages are made: templates on the server, nothing to load from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from quietus_console import shutdown_words, words

from include.model.times import PRC

PREFIX = "/quietus"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["word"] = lambda code, kind, lang: words.word(kind, str(code), lang)
    made.filters["sentence"] = lambda text, lang: shutdown_words.sentence(str(text), lang)
    made.filters["past"] = lambda code, lang: shutdown_words.past(str(code), lang)
    made.filters["moment"] = lambda t: t.astimezone(PRC).strftime("%Y-%m-%d %H:%M") if t else ""
    return made


TEMPLATES = _templates()


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(TEMPLATES.get_template(name).render(prefix=PREFIX, **values), status, HEADERS)
