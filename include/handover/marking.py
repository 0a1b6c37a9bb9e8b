"""At the successor: objects that it may only store from now on bear our tag of a restriction, as those that came so do from their
arrival. What denies reading them is the bucket's policy (docs/stores-s3.md); the tag is no part of what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.handover import objects
from include.handover.custody import Custody, Known
from include.model.handover import BagKind
from include.stores.s3.server import reaching

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import TagTypeDef

    from include.handover.following import Item


def mark(custody: Custody, bag: Known, items: Sequence[Item]) -> None:
    """Tag these versions; rows and delete markers have none. Again changes nothing. One that bears ten tags already can bear no
    more (S3), and stays without. Raises NotReachable."""
    versions = [it for it in items if bag.kind is BagKind.OBJECTS and not it.is_marker]
    if not versions:
        return
    client, bucket = custody.client(bag.dataset), str(bag.described["bucket"])
    for it in versions:
        of: dict[str, Any] = {"Bucket": bucket, "Key": it.key[0]}
        if it.version not in (None, "null"):
            of["VersionId"] = it.version
        with reaching(f"bag {bag.bag}"):
            before = {t["Key"]: t["Value"] for t in client.get_object_tagging(**of)["TagSet"]}
            after = objects.tagged(before, only_stored=True)
            if after != before:
                tags: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in after.items()]
                client.put_object_tagging(**of, Tagging={"TagSet": tags})
