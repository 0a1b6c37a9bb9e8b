"""All of the outside world together, running: ``with Outside(home, port, mail_port) as outside``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

from include.sandbox.recipients import post, server
from include.sandbox.recipients.authority import Authority
from include.sandbox.recipients.book import Book
from include.sandbox.recipients.callbacks import Messenger
from include.sandbox.recipients.places import authority_in
from include.sandbox.recipients.world import World


class Outside:
    """The bodies over the memory in ``home``, from ``with`` on. Port 0: any free one."""

    def __init__(self, home: Path, port: int = 0, mail_port: int = 0, completes_after: float = 2.0) -> None:
        self.world = World(home)
        self.authority = Authority(authority_in(home).parent)
        self.book = Book(self.world, completes_after)
        self.post = post.Post(self.world)
        self._server = server.serve(port, self.world, self.book, self.authority)
        self._mail = post.MailServer(mail_port, self.world, self.authority)
        self.messenger = Messenger(self.world, self.book, self.authority)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @property
    def mail_port(self) -> int:
        return self._mail.port

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._mail.start()
        self._thread.start()
        self.messenger.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.messenger.stop()
        self._server.shutdown()
        self._server.server_close()
        self._mail.stop()
        self._thread.join()
        self.world.close()
