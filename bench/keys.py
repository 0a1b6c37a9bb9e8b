"""What sealing costs: an object through its format, against AES-256-GCM of `cryptography` over the same stream.

    python -m bench.keys [--mib 64]

From memory to memory, the best of some rounds in turns: what disturbs one only makes it slower. And what a try costs: the
prover tries every key that it can find on every ciphertext that was kept. Prints Markdown.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from include.model import sealed
from include.model.keks import Keks
from include.proofs.ciphertexts import Sample
from include.proofs.keyhunt import MOST_TRIES, Found, Wrapped

ROUNDS = 15
PATH = "acct_0123456789ab/12345678.mp4"
KEYS = 2000  # that a ciphertext is tried with


def timed(*whats: Callable[[], object]) -> list[float]:
    """Seconds of each, the best of some rounds in turns."""
    found: list[list[float]] = [[] for _ in whats]
    for _ in range(ROUNDS):
        for times, what in zip(found, whats, strict=True):
            began = time.perf_counter()
            what()
            times.append(time.perf_counter() - began)
    return [min(times) for times in found]


def drained(pieces: object) -> None:
    for _ in pieces:  # type: ignore[attr-defined]
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=64)
    size = parser.parse_args().mib * 2**20
    key, key_id, body = sealed.new_key(), uuid4(), bytes(range(256)) * (size // 256)
    whole = b"".join(sealed.seal(key, key_id, PATH, io.BytesIO(body)))
    plain, nonce = AESGCM(key), bytes(12)
    pieces = [body[i : i + sealed.SEGMENT] for i in range(0, size, sealed.SEGMENT)]
    closed = b"".join(plain.encrypt(nonce, piece, None) for piece in pieces)

    def floor_(of: bytes, n: int, do: Callable[..., bytes]) -> None:
        """The same stream, read by as much at once."""
        stream = io.BytesIO(of)
        while piece := stream.read(n):
            do(nonce, piece, None)

    sealing, opening, floor, floor_open = timed(
        lambda: drained(sealed.seal(key, key_id, PATH, io.BytesIO(body))),
        lambda: drained(sealed.unseal(key, PATH, io.BytesIO(whole))),
        lambda: floor_(body, sealed.SEGMENT, plain.encrypt),
        lambda: floor_(closed, sealed.SEGMENT + 16, plain.decrypt),
    )
    mib = size / 2**20
    print(f"{mib:.0f} MiB in segments of {sealed.SEGMENT // 1024} KiB, the best of {ROUNDS}.\n")
    print("| | MiB/s | ÷ AES-256-GCM of `cryptography` |\n|---|---:|---:|")
    for what, seconds, against in (("seal", sealing, floor), ("unseal", opening, floor_open)):
        print(f"| {what} | {mib / seconds:,.0f} | **{against / seconds:.2f}** |")
    print(f"| floor: encrypt, decrypt | {mib / floor:,.0f}, {mib / floor_open:,.0f} | 1 |")
    keks = Keks.made()
    rows = [Wrapped(i, keks.newest, keks.wrap(i, sealed.new_key())) for i in (uuid4() for _ in range(KEYS))]
    found = Found(keks, rows)
    sample = Sample(key_id=key_id, path=PATH, start=whole[: sealed.START], last=False)
    (trying,) = timed(lambda: found.opens(sample))
    print(
        f"\nOne ciphertext tried with {KEYS:,} keys that do not open it: {trying / KEYS * 1e6:.0f} µs a key; a look makes at most"
        f" {MOST_TRIES:,} tries. What is added to an object: 63 bytes, and 16 a segment."
    )


if __name__ == "__main__":
    main()
