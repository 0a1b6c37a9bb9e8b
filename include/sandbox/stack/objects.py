"""The sandbox's S3 server: moto, in a process of its own. It keeps objects in memory only.

``python -m include.sandbox.stack.objects --port N`` is what runs in that process.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.model.errors import NotReachable
from include.sandbox.stack.places import CHECKOUT, Places
from include.sandbox.stack.process import AMBIENT, Process, Spec

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"


def process(places: Places, port: int, name: str = "objects") -> Process:
    """The server as a supervised process on that port of loopback."""
    return Process(
        Spec(
            name=name,
            argv=(sys.executable, "-m", "include.sandbox.stack.objects", "--port", str(port)),
            env=plain_environment(),
            cwd=CHECKOUT,
            patience=5.0,
        ),
        places,
    )


def plain_environment() -> dict[str, str]:
    """What a Python server needs of ours, and nothing more: no secrets, no cloud credentials."""
    return {
        **{name: os.environ[name] for name in AMBIENT if name in os.environ},
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
    }


def endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def answers(port: int) -> bool:
    """True once the server speaks HTTP."""
    try:
        with urllib.request.urlopen(f"{endpoint(port)}/moto-api/", timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def make_locked_bucket(s3: S3Client, name: str) -> bool:
    """A bucket that may lock its objects, if there is none of that name; whether it was made. Raises NotReachable."""
    try:
        if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            return False
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        return True
    except (ClientError, BotoCoreError) as error:
        raise NotReachable(
            f"the bucket could not be made ({type(error).__name__})", about=name,
            next_step="see whether the server runs: quietus sandbox status",
        ) from None  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args(arguments).port
    from moto.server import main as serve

    from include.sandbox.stack.lightly import lightly

    lightly()
    # Every request would be logged with its URL, and object keys name people.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    serve(["--host", "127.0.0.1", "--port", str(port)])


if __name__ == "__main__":
    main(sys.argv[1:])
