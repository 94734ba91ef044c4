"""Maps the paths that clients and proxies use to the routes of the table, and names the nearest route to any other."""

import re
from difflib import get_close_matches

from starlette.types import ASGIApp, Receive, Scope, Send

from server.api import routes
from server.api.operation import Operation

SLASHES = re.compile(r"/{2,}")
VERSION = re.compile(r"/v[0-9]+(?=/|$)")
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
# Comparing strings takes time that grows with their lengths.
LONGEST_COMPARED = 64


class Paths:
    """Outermost middleware: rewrites the path of each request, so that all others see the path of a route."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; pass other scopes (lifespan) through."""
        if scope["type"] == "http":
            scope["path"] = canonical(scope["path"], self._base_path)
        await self._app(scope, receive, send)


def canonical(path: str, base_path: str = "") -> str:
    """Return `path` without `base_path`, repeated slashes and a trailing slash, and with an alias replaced.

    Segments `.` and `..` are kept, so that such a path is no route.
    """
    path = SLASHES.sub("/", path)
    if base_path and f"{path}/".startswith(f"{base_path}/"):
        path = path.removeprefix(base_path)
    path = path.removesuffix("/") or "/"
    for alias, route in routes.ALIASES.items():
        if path == alias or (alias.endswith("/") and path.startswith(alias)):
            return route + path.removeprefix(alias)
    return path


def describe_nearest(path: str) -> str:
    """Return a sentence that names the route nearest to the unknown `path`, and the setting for a proxy's prefix."""
    nearest = nearest_route(path)
    sentence = f"the nearest route is {nearest.method} {nearest.template}"
    prefix = path.removesuffix(nearest.path)
    if prefix != path and PREFIX.fullmatch(prefix) and not VERSION.fullmatch(prefix):
        sentence += f" (BASE_PATH={prefix[:LONGEST_COMPARED]} if a proxy adds that)"
    return sentence


def nearest_route(path: str) -> Operation:
    """Return the operation whose path ends `path`, or else the one spelled most like it, of the same API version."""
    operations = {operation.path: operation for operation, _ in reversed(routes.ROUTES) if operation.path != "/"}
    version = _version(path)
    candidates = [name for name in operations if _version(name) == version] or list(operations)
    ends = [name for name in candidates if path.endswith(name)]
    if ends:
        return operations[max(ends, key=len)]
    [name] = get_close_matches(path[:LONGEST_COMPARED], candidates, 1, 0)
    return operations[name]


def _version(path: str) -> str:
    versions = VERSION.findall(path)
    return versions[-1] if versions else ""
