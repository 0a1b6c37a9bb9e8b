"""A server that can be away without losing what it holds in memory: the road to it is cut, and mended."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes on whatever comes to ``port`` of loopback to the port ``to``, until it is cut."""

    def __init__(self, port: int, to: int) -> None:
        self._port, self._to = port, to
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.mend()

    def mend(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self._port), backlog=64)
            threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        """From now on nobody is let in, and who is in is put out."""
        listening, self._listening = self._listening, None
        for link in [*self._open, *([listening] if listening else [])]:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        if listening:
            listening.close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for link in (near, far):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {near, far}
            ends = threading.Semaphore(0)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other, ends), daemon=True).start()
            threading.Thread(target=self._close, args=(near, far, ends), daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket, ends: threading.Semaphore) -> None:
        with suppress(OSError):
            while said := one.recv(65536):
                other.sendall(said)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)
        ends.release()

    def _close(self, near: socket.socket, far: socket.socket, ends: threading.Semaphore) -> None:
        ends.acquire()
        ends.acquire()
        self._open -= {near, far}
        near.close()
        far.close()
