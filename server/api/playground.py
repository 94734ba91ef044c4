"""`/`: a page to try the model on, one HTML document that loads nothing but this server's own routes."""

from pathlib import Path

from server.api.docs_page import CLOSED, digest

FOLDER = Path(__file__).with_name("page")
SCRIPTS = ("requests.js", "charts.js", "page.js")


def read(name: str) -> str:
    """Return the text of one of the page's files."""
    return (FOLDER / name).read_text("utf-8")


STYLE = read("page.css")
SCRIPT = "\n".join(map(read, SCRIPTS))
PAGE = (
    read("page.html")
    .replace("<!--STYLE-->", f"<style>{STYLE}</style>")
    .replace("<!--SCRIPT-->", f"<script>{SCRIPT}</script>")
    .encode()
)
POLICY = (
    f"{CLOSED}; style-src '{digest(STYLE)}'; script-src '{digest(SCRIPT)}'; connect-src 'self'; "
    # An empty icon, so that browsers do not request one.
    "img-src data:"
)
"""The page's Content-Security-Policy, which allows only its own style and script, and requests to this server."""
