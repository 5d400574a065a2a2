"""A mirror of the OSV database on 127.0.0.1, with the records of ``advisories/``: an audit of dependencies needs no internet.

It knows what those records know. A build of your own asks https://api.osv.dev.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def is_affected(record: dict[str, Any], package: str, version: str) -> bool:
    """Whether a record's ranges hold this version of a package."""
    for affected in record["affected"]:
        if canonicalize_name(affected["package"]["name"]) != canonicalize_name(package):
            continue
        for stretch in affected["ranges"]:
            bounds = {kind: Version(number) for event in stretch["events"] for kind, number in event.items()}
            if bounds["introduced"] <= Version(version) and (
                "fixed" not in bounds or Version(version) < bounds["fixed"]
            ):
                return True
    return False


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """Serve the records while the block runs; yields the URL of the query."""
    known = records(folder)

    class Query(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = [one for one in known if is_affected(one, asked["package"]["name"], asked["version"])]
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_unused: object) -> None:
            """A build that says nothing went well."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Query) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
