"""Every version, delete marker and open multipart upload under some prefixes, in few requests.

A page holds up to 1000 entries. Listing each subject's prefix costs a request per subject; listing
the whole dataset costs one per 1000 entries of everybody. The walk does whichever is cheaper as it
goes: while a page serves more than one wanted prefix it reads on, *leaping* to the next wanted
prefix where the server allows; in sparse stretches it asks prefix by prefix.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from include.stores.s3.items import Item, stamp
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SPARSE_PAGES = 2  # this many pages in a row that served one prefix or none end reading on
SPARSE_RUN = 50  # then so many prefixes are asked for one by one before reading on is tried again
LAST = "\U0010ffff"


@dataclass
class _Page:
    groups: list[list[Item]]  # complete keys, in order; of each the oldest first
    end: str | None  # the last key seen in full or in part; None: nothing follows
    next: dict[str, str] | None


def _group(entries: list[Item]) -> list[list[Item]]:
    """Entries of whole keys, as listed, grouped by key; of each key the oldest first, the newest last. A server may tell whole
    seconds: of what was written within one, it lists the newest first."""
    by_key: dict[str, list[Item]] = {}
    for item in reversed(entries):
        by_key.setdefault(item.key, []).append(item)
    return [sorted(by_key[key], key=lambda item: (item.newest, item.modified)) for key in sorted(by_key)]


def never() -> bool:
    """``may_leap`` of a walk that has one prefix."""
    return False


class Walk:
    """One listing of a bucket. ``may_leap``: whether the server honours KeyMarker as written (see ``server``); it is
    asked only once there is a second page to be fetched."""

    def __init__(self, client: S3Client, bucket: str, *, may_leap: Callable[[], bool], about: str) -> None:
        self.client, self.bucket, self.about = client, bucket, about
        self._may_leap = may_leap
        self._carry: list[Item] = []

    @cached_property
    def leaps(self) -> bool:
        return self._may_leap()

    def versions(self, base: str, prefixes: Sequence[str]) -> Iterator[list[Item]]:
        """Groups (one per key) of all versions and markers under any of ``prefixes``, all of which begin
        with ``base``. May give keys outside the prefixes; the caller matches keys anyway."""
        wanted = _outermost(prefixes)
        at, dense = 0, len(wanted) > 2
        token: dict[str, str] | None = {}
        sparse = 0
        while at < len(wanted):
            if not dense:
                many = len(wanted) - at > SPARSE_RUN
                stop = at + SPARSE_RUN if many and self.leaps else len(wanted)
                for prefix in wanted[at:stop]:
                    yield from self._all(prefix)
                at = stop
                dense, sparse = len(wanted) - at > 2 and self.leaps, SPARSE_PAGES - 1
                token = _before(wanted[at]) if dense else {}
                continue
            page = self._page(base, token or {})
            yield from page.groups
            if page.next is None or page.end is None:
                return
            served = bisect_left(wanted, page.end)  # prefixes that lie wholly before the end of the page
            if served and page.end.startswith(wanted[served - 1]):
                served -= 1
            sparse = sparse + 1 if served - at <= 1 else 0
            inside = page.end.startswith(wanted[served]) if served < len(wanted) else False
            at = served
            token = page.next
            if at < len(wanted) and not inside and wanted[at] > page.end and self.leaps:
                self._carry.clear()  # its key is under no wanted prefix
                token = _before(wanted[at])
            if sparse >= SPARSE_PAGES and not inside:
                self._carry.clear()
                dense = False

    def _all(self, prefix: str) -> Iterator[list[Item]]:
        token: dict[str, str] | None = {}
        while token is not None:
            page = self._page(prefix, token)
            yield from page.groups
            token = page.next

    def _page(self, prefix: str, token: dict[str, str]) -> _Page:
        """One request. The last key may go on in the next page, so it is carried over to it."""
        with reaching(self.about):
            answer = self.client.list_object_versions(Bucket=self.bucket, Prefix=prefix, **token)  # type: ignore[arg-type]
        found, self._carry = self._carry, []
        for v in answer.get("Versions", []):
            found.append(
                Item("version", v["Key"], v.get("VersionId") or "null", v["IsLatest"], v["ETag"], v["Size"],
                     stamp(v["LastModified"]), newest=v["IsLatest"])
            )  # fmt: skip
        for m in answer.get("DeleteMarkers", []):
            # A marker is never a live object, even when it is the newest version.
            found.append(
                Item("marker", m["Key"], m.get("VersionId") or "null", False,
                     modified=stamp(m["LastModified"]), newest=m["IsLatest"])
            )  # fmt: skip
        if not answer.get("IsTruncated"):
            return _Page(_group(found), None, None)
        end = max((item.key for item in found), default=prefix)
        end = max(end, answer.get("NextKeyMarker") or end)
        self._carry = [item for item in found if item.key == end]
        following = {"KeyMarker": answer["NextKeyMarker"]}
        if answer.get("NextVersionIdMarker"):
            following["VersionIdMarker"] = answer["NextVersionIdMarker"]
        return _Page(_group([item for item in found if item.key != end]), end, following)

    def uploads(self, base: str, prefixes: Sequence[str]) -> Iterator[Item]:
        """Open multipart uploads. They are few, so one listing of the whole base, or of a lone prefix."""
        wanted = _outermost(prefixes)
        prefix = wanted[0] if len(wanted) == 1 else base
        token: dict[str, str] | None = {}
        while token is not None:
            with reaching(self.about):
                answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix, **token)  # type: ignore[arg-type]
            for u in answer.get("Uploads", []):
                yield Item("upload", u["Key"], u["UploadId"], False, modified=stamp(u["Initiated"]))
            token = None
            if answer.get("IsTruncated"):
                token = {
                    "KeyMarker": answer["NextKeyMarker"],
                    "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
                }


def _outermost(prefixes: Sequence[str]) -> list[str]:
    """Sorted, without repeats and without prefixes that lie under another one."""
    out: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not out or not prefix.startswith(out[-1]):
            out.append(prefix)
    return out


def _before(prefix: str) -> dict[str, str]:
    """A KeyMarker after which the next keys are those of ``prefix`` (an exclusive marker)."""
    if not prefix:
        return {}
    last = ord(prefix[-1])
    if last == 0:
        return {"KeyMarker": prefix[:-1]} if prefix[:-1] else {}
    before = last - 1 if last != 0xE000 else 0xD7FF  # step over the surrogates, which UTF-8 lacks
    return {"KeyMarker": prefix[:-1] + chr(before) + LAST}


def honours_key_marker(client: S3Client, bucket: str, keys: Sequence[str], about: str) -> bool:
    """Whether a KeyMarker between two existing ``keys`` (sorted) is honoured as written. Some servers skip
    one entry too many, and a leap would then lose a version."""
    with reaching(about):
        answer = client.list_object_versions(Bucket=bucket, Prefix=keys[0][:-1], **_before(keys[1]))  # type: ignore[arg-type]
    seen = [v["Key"] for v in answer.get("Versions", [])]
    return seen == list(keys[1:])
