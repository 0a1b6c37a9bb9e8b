"""The process of the outside world."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from include.sandbox.recipients.outside import Outside


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="recipients")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mail-port", type=int, required=True)
    parser.add_argument("--completes-after", type=float, default=2.0)
    said = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # libraries would name addresses and paths
    ended = threading.Event()
    for end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(end, lambda *_: ended.set())
    outside = Outside(said.home, said.port, said.mail_port, said.completes_after)
    with outside:
        ended.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
