"""What both sides' commands of a handover work with: the consignment; a successor's inbox, stores and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import _common as common
from include.commands import _connections
from include.connections import SUCCESSOR_INBOX
from include.model.errors import QuietusError, Refused
from include.model.words import Role

if TYPE_CHECKING:
    from include.cases.keys import KeyStore
    from include.cases.retention.held import HeldPeople
    from include.handover.custody import Custody
    from include.handover.fetching import Inbox
    from include.model.handover import Consignment


def inbox(bucket: str, work: Path, certificate: Path, key: Path, sender_key: Path) -> Inbox:
    """Our bucket for bags, with what opens and verifies them. Raises Refused if a file is not what it should be."""
    from include.handover.fetching import Inbox, private_key
    from include.handover.sealed import recipient
    from include.ledger.attest import public_key

    return Inbox(
        _connections.connections().s3(SUCCESSOR_INBOX, Role.COURIER), bucket, public_key(read_text(sender_key)),
        recipient(read_text(certificate), compared=True), private_key(key), work,
    )  # fmt: skip


def custody() -> Custody:
    """Our stores, with our key store if one is declared: only a bag with keys asks for it."""
    from include.handover.custody import Custody

    return Custody(
        common.catalogue(), _connections.connections(), keys=_key_store(), released=_released, held=_held
    )


def _released() -> tuple[str, ...]:
    """Asked only once something is counted again. Without a case book nothing that came was ever released."""
    from include.cases import holds

    try:
        with common.reader() as conn:
            return holds.released_of_those_that_came(conn)
    except QuietusError:
        return ()


def _held() -> HeldPeople:
    """Whom our own holds name. Asked only before something is deleted at somebody's word. Without a case book we have none; one
    that does not answer stops the deletion. Raises NotReachable, Refused."""
    from include.cases import book
    from include.cases.retention.held import HeldPeople, held_people

    try:
        _connections.connections().postgres(book.RECORDS, Role.READER)
    except Refused:
        return HeldPeople()
    return held_people(common.desk())


def _key_store() -> KeyStore | None:
    from include.cases.keys import FileKeyStore
    from include.cases.rooms import KEY_DIRECTORY, WRAPPING_KEY

    ours = _connections.connections()
    try:
        return FileKeyStore.from_text(ours.text(KEY_DIRECTORY), ours.text(WRAPPING_KEY))
    except Refused:
        return None


def read(path: Path) -> bytes:
    """Raises Refused if the file cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        raise Refused("the file cannot be read", about=str(path), next_step="check its name") from None


def read_text(path: Path) -> str:
    """As :func:`read`."""
    return read(path).decode("utf-8", "replace")


def read_consignment(path: Path) -> Consignment:
    """Raises Refused if it is none."""
    from pydantic import ValidationError

    from include.model.handover import Consignment

    try:
        return Consignment.model_validate_json(read(path))
    except ValidationError as error:
        where = ".".join(str(x) for x in error.errors()[0]["loc"]) or "whole"
        raise Refused(
            f"it is no consignment ({where}: {error.errors()[0]['msg']})", about=str(path),
            next_step="have it written again by `quietus shutdown`",
        ) from None  # fmt: skip


def believe(
    names: Iterable[str], read: Callable[[str], bytes | None], verify: Callable[[str, bytes], object], *, none: str, good: str
) -> int:  # fmt: skip
    """Say of each whether it is believed, and why not; how many are not. ``read``: None if there is none yet."""
    wrong = 0
    for name in names:
        content = read(name)
        if content is None:
            common.say(f"{name}: {none}")
            wrong += 1
            continue
        try:
            verify(name, content)
            common.say(f"{name}: {good}")
        except QuietusError as error:
            common.say(f"{name}: {error}")
            wrong += 1
    return wrong
