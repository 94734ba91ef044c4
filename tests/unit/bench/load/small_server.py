"""A minimal server for tests: `python small_server.py PORT [refuse | busy | bare | deaf]`."""

import json
import os
import resource
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAY = sys.argv[2] if len(sys.argv) > 2 else ""
INFO = {"mark": os.environ.get("MARK"), "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
METRICS = "# TYPE x counter\nembedding_padded_tokens_total 4.0\nembedding_useful_tokens_total 2500.0\n"


class Handler(BaseHTTPRequestHandler):
    """Handles requests by mode."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond to /info and /metrics."""
        known = {} if WAY == "bare" else {"/info": json.dumps(INFO), "/metrics": METRICS}
        self._say(200 if self.path in known else 404, known.get(self.path, "nothing"))

    def do_POST(self) -> None:
        """Respond to any path."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say(503 if WAY == "busy" else 200, "{}")

    def log_message(self, *_: object) -> None:
        """Do not log."""

    def _say(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


if __name__ == "__main__":
    if WAY == "refuse":
        sys.exit(print("no model here", file=sys.stderr) or 3)
    if WAY == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
