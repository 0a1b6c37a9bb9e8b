"""Proof of a restriction over S3 stores.

marked        every version of the person bears the restriction's tag                             R0
open          no file bears it in which others have records                                       R0
denied        no business role, with its own key, opens what is marked or loosens it; where there is
              no key, the bucket's policy fails it if it does not deny the tag to that role       R1
enforced      what is not so: the server enforces no policy; others have records in a file; a role's
              key is not given, so its policy was only read; uploads are not refused          R0, R1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.model.estate import Dataset
from include.model.flow import Evidence
from include.model.words import CopyKind, Rung
from include.proofs.bucket import Bucket
from include.proofs.objects import Looking
from include.proofs.objects_attempts import UPLOAD, Keys, Tally, keys_of, sample, tried

TAG, VALUE = "quietus", "restricted"


def restricted(looking: Looking) -> Evidence:
    """Every version of the person is marked, and the mark is denied to every business role.

    Some servers take a policy and do not enforce it: the store measured that before it relied on it. Its word that
    it does *not* is taken; then ``enforced.<store>`` is UNVERIFIED, and what was marked is only marked.
    """
    receipt = looking.manifests.restriction()
    said = (receipt.position.get("enforcement") or "") if receipt else "there is no receipt of a restriction"
    enforced = said.startswith("enforced")
    idle = "" if enforced else said.removeprefix("UNVERIFIED: ") or "nothing is known"
    mixed = ((receipt.position.get("records") or "") if receipt else "").removeprefix("UNVERIFIED: ")
    if idle or mixed:
        looking.unverified(
            f"enforced.{looking.store.id}", None, Rung.R1, "; ".join(x for x in (idle, mixed) if x)
        )

    keys = keys_of(looking.connections, looking.store)

    def look(dataset: Dataset) -> None:
        bucket = Bucket(looking.client, dataset.address)
        rows = list(looking.manifests.rows("located", dataset.id))
        files = {(row["key"], row["version"]) for row in rows if row.get("mixed")}
        own = [
            row
            for row in rows
            if row["kind"] in ("version", "record")
            and not row.get("link_only")
            and (row["key"], row["version"]) not in files
        ]
        mine = {(row["key"], row["version"]) for row in own}
        if files:
            looking.note(
                "open", dataset, CopyKind.LIVE, Rung.R0, 0, bucket.marked(files, TAG, VALUE),
                "record files in which others have records bear the mark, so theirs are denied too",
            )  # fmt: skip
        looking.note(
            "marked", dataset, CopyKind.LIVE, Rung.R0, len(mine), bucket.marked(mine, TAG, VALUE),
            "versions of the person do not bear the mark of the restriction",
        )  # fmt: skip
        tallies = {
            role: tried(client, bucket.name, sample(own), writes=enforced)
            for role, client in keys.clients.items()
        }
        why = "; ".join(
            x for x in (idle + _all_the_same(tallies) if idle and mine else "", mixed if files else "") if x
        )
        if why:
            looking.unverified(f"enforced.{dataset.id}", dataset.id, Rung.R1, why)
        if enforced and mine:
            _refused(looking, dataset, bucket, tallies, keys)

    looking.each(look, "marked", Rung.R0)
    return looking.evidence("restricted", None)


def _all_the_same(tallies: Mapping[str, Tally]) -> str:
    """What the applications can do where the store says that nothing is refused."""
    through = sum(t.opened() for t in tallies.values())
    every = sum(t.tried.total() for t in tallies.values())
    return f"; tried as {', '.join(tallies)}: {through} of {every} attempts got through" if every else ""


def _refused(
    looking: Looking, dataset: Dataset, bucket: Bucket, tallies: Mapping[str, Tally], keys: Keys
) -> None:
    """Attempts, where a role's key is given. Elsewhere the policy is read: it may fail for what it says, but that it
    says the right thing is no attempt."""
    open_ = {role: t for role, t in tallies.items() if t.opened()}
    covered = _denied(bucket, list(keys.missing))
    bare = [role for role in keys.missing if role not in covered]
    if bare or any(t.tried for t in tallies.values()):
        told = [t.words(role) for role, t in open_.items()]
        told += [f"{role}: its policy does not deny marked objects" for role in bare]
        looking.note(
            "denied", dataset, CopyKind.LIVE, Rung.R1, 0, sum(t.opened() for t in open_.values()) + len(bare),
            f"what is marked is open to business roles: {'; '.join(told)}",
        )  # fmt: skip
    if covered:
        told = [f"{role} ({keys.missing[role]})" for role in keys.missing if role in covered]
        looking.unverified(
            f"enforced.{dataset.id}", dataset.id, Rung.R1,
            f"not tried, judged by the text of the bucket's policy, which denies it: {', '.join(told)}",
        )  # fmt: skip
    if uploading := [role for role, t in tallies.items() if t.through[UPLOAD]]:
        looking.unverified(
            f"enforced.{dataset.id}", dataset.id, Rung.R0,
            f"{', '.join(uploading)} may still upload under the person's keys, which no policy can refuse; what comes"
            " is found before disposing, and after it",
        )  # fmt: skip


def _denied(bucket: Bucket, roles: Sequence[str]) -> set[str]:
    """Which of the roles the policy denies to read what bears the mark, anywhere in the bucket."""
    covered: set[str] = set()
    for statement in bucket.policy():
        condition = statement.get("Condition", {}).get("StringEquals", {})
        reading = statement.get("Action", [])
        if (
            statement.get("Effect") == "Deny"
            and condition.get(f"s3:ExistingObjectTag/{TAG}") == VALUE
            and "s3:GetObject" in ([reading] if isinstance(reading, str) else reading)
            and statement.get("Resource")
            in (f"arn:aws:s3:::{bucket.name}/*", [f"arn:aws:s3:::{bucket.name}/*"])
        ):
            principal = statement.get("Principal")
            who = principal if isinstance(principal, str) else (principal or {}).get("AWS", [])
            covered.update([who] if isinstance(who, str) else who)
    return {r for r in roles if covered & {"*", r, f"arn:aws:iam:::user/{r}"}}


__all__ = ["restricted"]
