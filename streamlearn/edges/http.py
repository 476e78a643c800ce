"""The HTTP side: /metrics, /healthz and /readyz, read-only, in threads that never hold up the daemon.

It is open before the daemon has connected to anything, so that what keeps it from starting can be seen here.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final

from streamlearn.edges import prometheus
from streamlearn.errors import ConfigurationError
from streamlearn.service.health import DEAD_AFTER_S, Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.ports import Clock

OFF = -1  # the port that means no HTTP
REQUEST_TIMEOUT_S = 5.0  # a client that says nothing is let go
SHUTDOWN_POLL_S = 0.05
OK, FAILING = "ok", "failing"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@final
class _Handler(BaseHTTPRequestHandler):
    """Answers one request from the facts that its server holds."""

    server: _Server
    server_version, sys_version = "streamlearn", ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        status, content_type, body = self._answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        health, measurements, now = self.server.health, self.server.measurements, self.server.clock.monotonic()
        if path == "/metrics":
            reasons = health.readiness()
            measurements.age(now)
            measurements.set("streamlearn_loop_age_seconds", health.age(now))
            for part in health.parts:
                measurements.set("streamlearn_ready", part not in reasons, part=part)
            body, content_type = prometheus.render(measurements, self.headers.get("Accept", ""))
            return 200, content_type, body
        if path == "/healthz":
            age_s = health.age(now)
            late = (
                {} if health.live(now) else {"loop": f"its last turn was {age_s:.1f} s ago, {DEAD_AFTER_S:g} at most"}
            )
            return _judged(late, ("loop",), {"loop_age_seconds": round(age_s, 3)})
        if path == "/readyz":
            return _judged(health.readiness(), health.parts, {})
        return 404, TEXT, b"there are /metrics, /healthz and /readyz\n"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged: every scrape would be a line."""


def _judged(reasons: Mapping[str, str], parts: Sequence[str], more: Mapping[str, float]) -> tuple[int, str, bytes]:
    """The answer that names every part, and of those that fail why."""
    failing = {part: {"status": FAILING, "reason": reason} for part, reason in reasons.items()}
    told = {part: {"status": OK} for part in parts} | failing
    answer = {"status": FAILING if reasons else OK, **more, "parts": told}
    return (503 if reasons else 200), JSON, json.dumps(answer).encode() + b"\n"


@final
class _Server(ThreadingHTTPServer):
    """The listening socket, and what the handlers need."""

    daemon_threads = True
    block_on_close = False  # a client that is still reading does not hold up the exit

    def __init__(self, host: str, port: int, measurements: Measurements, health: Health, clock: Clock) -> None:
        self.measurements, self.health, self.clock = measurements, health, clock
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As in the base class, without its look-up of the host's full name, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no error of ours
            super().handle_error(request, client_address)


@final
class HttpServer:
    """Serves from `start` to `stop`. With port 0 the system chooses one; with -1 nothing is served."""

    def __init__(self, host: str, port: int, measurements: Measurements, health: Health, clock: Clock) -> None:
        self._host, self._port = host, port
        self._facts = measurements, health, clock
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; as configured while there is none."""
        return self._port if self._server is None else self._server.server_port

    def start(self) -> None:
        if self._port == OFF:
            return
        assert self._server is None, "already started"
        try:
            self._server = _Server(self._host, self._port, *self._facts)
        except OSError as error:
            raise _refused(error, self._host, self._port) from None
        threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_S,), daemon=True, name="streamlearn-http"
        ).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _refused(error: OSError, host: str, port: int) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(f"http.port {port} is taken; set http.port = 0 for any free port, or -1 for none")
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"http.port {port} needs more rights; set http.port = 0 for any free port, or -1 for none"
        )
    return ConfigurationError(
        f'http.host "{host}" is no address of this machine ({error.strerror}); set http.host = "127.0.0.1"'
    )
