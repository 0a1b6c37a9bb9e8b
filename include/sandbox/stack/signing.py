"""A ledger's signer as a supervised process, with its key made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from include.model.errors import NotReachable
from include.sandbox.stack.objects import plain_environment
from include.sandbox.stack.places import CHECKOUT, Places
from include.sandbox.stack.process import Process, Spec

SIGNER = (sys.executable, "-m", "include.ledger.signer")


def process(places: Places, name: str, home: Path) -> Process:
    """The signer whose key, state and public key lie in ``home``, at the socket of this name."""
    return Process(
        Spec(
            name=name,
            argv=(
                *SIGNER, "--socket", str(places.socket(name)), "--key-file", str(home / "key.pem"),
                "--state", str(home / "state.json"),
            ),
            env=plain_environment(),
            cwd=CHECKOUT,
            patience=10.0,
        ),
        places,
    )  # fmt: skip


def start(signer: Process, places: Places, home: Path, origin: str) -> bool:
    """Start it, its key made if there is none; whether it was started. Raises NotReachable."""
    if not home.exists():
        # Into a directory of its own first: a key without a state would be of no use.
        fresh = home.with_name(home.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        done = subprocess.run(
            [
                *SIGNER, "--init", "--origin", origin, "--key-file", fresh / "key.pem", "--state", fresh / "state.json",
                "--public", fresh / "pub.pem",
            ],
            cwd=CHECKOUT, env=plain_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise NotReachable(done.stderr.strip() or "the key could not be made", about=signer.spec.name)
        fresh.rename(home)
    started = signer.start()
    signer.wait(lambda: places.socket(signer.spec.name).is_socket(), 30)
    return started
