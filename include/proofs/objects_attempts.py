"""Trying a restriction with the keys of the company's own applications, changing nothing.

Of each person the first, the middle and the last of the marked versions are asked for. Writes are tried on the first,
each in a form that the server refuses *after* it has looked whether the caller may: eleven tags where ten are the
most, an ACL of no owner, a part of an upload that does not exist. Whoever may not is told 403; any other answer
says that the write would have been taken. Nothing has to be undone, and no precondition is relied on, which some
servers ignore. Taking a tag off has no such form, and is not tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from include.model.abreast import abreast
from include.model.doors import BusinessKeys, Connections
from include.model.errors import NotReachable, Refused
from include.model.estate import StoreDeclared
from include.proofs.bucket import BUSY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORBIDDEN = ("AccessDenied", "403", "Forbidden", "AccessControlListNotSupported")
NOT_THERE = ("NoSuchKey", "NoSuchVersion", "404", "NotFound", "405", "MethodNotAllowed", "NotImplemented")
TOO_MANY_TAGS = {"TagSet": [{"Key": f"quietus-try-{n}", "Value": ""} for n in range(11)]}
NO_UPLOAD = "quietus-no-such-upload"
UPLOAD = "upload"

Version = tuple[str, str]  # key, version id
Call = Callable[[], Any]


@dataclass
class Tally:
    """What one role tried on one dataset."""

    tried: Counter[str] = field(default_factory=Counter)
    through: Counter[str] = field(default_factory=Counter)

    def opened(self) -> int:
        """How many attempts on what is marked got through. An upload is not one: no server can tell whose it is."""
        return sum(n for deed, n in self.through.items() if deed != UPLOAD)

    def words(self, role: str) -> str:
        done = ", ".join(
            f"{deed} {self.through[deed]} of {n}" for deed, n in self.tried.items() if self.through[deed]
        )
        return f"{role}: {done}"


@dataclass(frozen=True)
class Keys:
    """The applications' clients, and why there is none of the others."""

    clients: dict[str, S3Client]
    missing: dict[str, str]


def keys_of(connections: Connections, store: StoreDeclared) -> Keys:
    """A client for each business role whose key is given and taken by the server. Raises NotReachable."""
    clients: dict[str, S3Client] = {}
    missing: dict[str, str] = {}
    for role in store.business_roles:
        try:
            if not isinstance(connections, BusinessKeys):
                raise Refused("no key of it is given", about=role)
            client = connections.s3_as(store.connection, role)
            _accepted(client, role)
        except Refused as error:
            missing[role] = error.what
        else:
            clients[role] = client
    return Keys(clients, missing)


def _accepted(client: S3Client, role: str) -> None:
    """A key that the server does not know is refused everything, which would look like a restriction."""
    code = _code(client.list_buckets)
    if code and code not in FORBIDDEN:
        raise Refused(f"the server does not take its key [{code}]", about=role)


def sample(rows: Iterable[Mapping[str, Any]]) -> list[list[Version]]:
    """Of each person the first, middle and last version, in order; the same whenever it is asked."""
    of: dict[int, set[Version]] = {}
    for row in rows:
        for person in row.get("subjects") or (-1,):
            of.setdefault(person, set()).add((row["key"], row["version"]))
    chosen = []
    for _, versions in sorted(of.items()):
        every = sorted(versions)
        chosen.append([every[i] for i in sorted({0, len(every) // 2, len(every) - 1})])
    return chosen


def tried(client: S3Client, bucket: str, people: Sequence[Sequence[Version]], *, writes: bool) -> Tally:
    """Everything that one role is to be refused, on these versions. Raises NotReachable."""
    tally = Tally()
    calls = [(deed, call) for versions in people for deed, call in _calls(client, bucket, versions, writes)]
    for (deed, _), code in zip(calls, abreast(lambda c: _code(c[1]), calls), strict=True):
        if code in NOT_THERE:
            continue  # it went meanwhile, or the server knows no such thing: nothing is learnt
        tally.tried[deed] += 1
        tally.through[deed] += code not in FORBIDDEN
    return tally


def _calls(client: Any, bucket: str, versions: Sequence[Version], writes: bool) -> Iterator[tuple[str, Call]]:
    for n, (key, version) in enumerate(versions):
        what: dict[str, Any] = {"Bucket": bucket, "Key": key}
        this = what if version == "null" else what | {"VersionId": version}
        yield "HEAD", partial(client.head_object, **this)
        yield "GET", partial(_get, client, this)
        yield "read tags", partial(client.get_object_tagging, **this)
        if writes and n == 0:
            yield "write tags", partial(client.put_object_tagging, **this, Tagging=TOO_MANY_TAGS)
            yield "write ACL", partial(client.put_object_acl, **this, AccessControlPolicy={})
            yield UPLOAD, partial(client.upload_part, **what, UploadId=NO_UPLOAD, PartNumber=1, Body=b"")


def _get(client: Any, this: dict[str, Any]) -> None:
    client.get_object(**this)["Body"].close()  # that it answers is enough; nothing is read


def _code(call: Call) -> str:
    """What the server answered: nothing if it was done. Raises NotReachable if it did not answer."""
    try:
        call()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in BUSY:
            raise NotReachable(f"the server is busy [{code}]", about="S3", next_step="look again") from None
        return code
    except (BotoCoreError, OSError):
        raise NotReachable("the server does not answer", about="S3", next_step="look again") from None
    return ""


__all__ = ["UPLOAD", "Keys", "Tally", "keys_of", "sample", "tried"]
