"""Free ports on loopback: chosen at the first start, kept for the next ones, chosen anew when taken."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from include.model.errors import NotReachable

# Below the range from which Linux gives ports to outgoing connections (32768 on), so that a port
# that we keep while stopped is not handed to somebody's client meanwhile.
LOWEST, HIGHEST = 15000, 31999


def is_free(port: int) -> bool:
    """True if a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no listener
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(avoid: frozenset[int] = frozenset()) -> int:
    """A port that nobody listens on. Raises NotReachable if there is none."""
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)
        if port not in avoid and is_free(port):
            return port
    raise NotReachable("no free port was found on loopback", next_step="close other servers")


class PortBook:
    """Which port each server has, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = {}
        if path.exists():
            try:
                self._ports = {str(k): int(v) for k, v in json.loads(path.read_text("utf-8")).items()}
            except (ValueError, AttributeError, TypeError):
                self._ports = {}  # losing it costs a new choice of ports, nothing else

    def known(self, name: str) -> int | None:
        return self._ports.get(name)

    def get(self, name: str, *, ours_is_listening: bool) -> int:
        """The port of that server: the one it had, unless somebody else has taken it meanwhile."""
        port = self._ports.get(name)
        if port is None or not (ours_is_listening or is_free(port)):
            port = free_port(frozenset(self._ports.values()))
            self._ports[name] = port
            fresh = self._path.with_name(self._path.name + ".new")
            fresh.write_text(json.dumps(self._ports, indent=1, sort_keys=True), "utf-8")
            fresh.replace(self._path)
        return port
