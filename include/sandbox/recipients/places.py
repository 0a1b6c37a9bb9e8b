"""How the rest of the sandbox finds the outside world, without starting any of it."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path

LOGIN = "privacy-office@company.example"  # whom our letters come from
MAIL = "mail"  # whose token the mail server takes


def authority_in(home: Path) -> Path:
    """What to trust there, as a file. It is made when the server first starts."""
    return home / "authority" / "ca.pem"


def answering(home: Path, port: int) -> bool:
    """True once the server answers, and shows a certificate that leads to its authority."""
    try:
        context = ssl.create_default_context(cafile=authority_in(home))
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", timeout=2, context=context) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
