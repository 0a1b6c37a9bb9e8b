"""The dragnet over buckets: wherever an object names the person it is found; what cannot be seen is no zero."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include import proofs
from include.model.flow import Evidence, Plan, Step
from include.model.words import Role, Verdict
from tests.proofs.test_bodies import MOBILE, SAID, zipped
from tests.proofs.test_gone import wrong
from tests.proofs.test_objects_gone import ME, OTHER, Prover, disposed, people
from tests.stores.s3.world import Server, World

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


class Case:
    """Photos of two people, one of them gone; and a bucket that nobody declared."""

    def __init__(self, server: Server) -> None:
        self.world = World(server)
        self.photos, provision = people(self.world)
        self.step: Step = self.world.step(ME)
        self.plan: Plan = disposed(self.world, self.step, provision)
        self.exports = self.world.bucket("exports")

    def put(self, body: bytes, **more: Any) -> None:
        self.world.s3.put_object(Bucket=self.exports, Key="2025/export", Body=body, **more)

    def scan(self, connections: Any = None) -> Evidence:
        (found,) = proofs.dragnet(
            self.world.store().catalogue, connections or Prover(self.world), self.step, self.plan,
            proofs.Values(frozenset([MOBILE])), work=f"quietus-work-{self.world.tag}",
        )  # fmt: skip
        return found

    def of(self, evidence: Evidence, bucket: str) -> Any:
        return next(c for c in evidence.checks if c.name == f"dragnet.{bucket}")


@pytest.fixture
def case(moto_here: Server) -> Case:
    return Case(moto_here)


@pytest.mark.parametrize("where", ["body", "office", "base64", "metadata", "header", "tag", "mark"])
def test_wherever_an_object_names_the_person_it_is_found(case: Case, where: str) -> None:
    coded = base64.b64encode(json.dumps({"tel": MOBILE}).encode())
    match where:
        case "metadata":
            case.put(b"x", Metadata={"caller": MOBILE})
        case "header":
            case.put(b"x", ContentDisposition=f'attachment; filename="{MOBILE}.pdf"')
        case "tag":
            case.put(b"x", Tagging=f"caller={MOBILE}")
        case "mark":
            case.world.s3.put_object(Bucket=case.exports, Key=f"of/{MOBILE}", Body=b"x")
            case.world.s3.delete_object(Bucket=case.exports, Key=f"of/{MOBILE}")
        case _:
            case.put({"body": SAID, "office": zipped(SAID), "base64": coded}[where])
    check = case.of(case.scan(), case.exports)
    assert (check.verdict, check.expected) == (Verdict.FAILED, 0)


def test_a_picture_under_no_declared_path_is_unverified(case: Case) -> None:
    case.put(JPEG)
    check = case.of(case.scan(), case.exports)
    assert check.verdict is Verdict.UNVERIFIED and "1 objects" in check.why


def test_a_picture_under_somebody_elses_declared_path_is_told_by_its_path(case: Case) -> None:
    case.world.s3.put_object(Bucket=case.photos, Key=f"{OTHER}/a.jpg", Body=JPEG)
    evidence = case.scan()
    check = case.of(evidence, case.photos)
    assert check.verdict is Verdict.PASSED
    assert "1 objects that cannot be read into lie under declared paths" in check.why
    case.world.s3.put_object(
        Bucket=case.photos, Key=f"{OTHER}/b.jpg", Body=JPEG, Metadata={"uploaded-by": MOBILE}
    )
    assert case.of(case.scan(), case.photos).verdict is Verdict.FAILED


class Short(Prover):
    """A prover that may not list buckets."""

    def s3(self, connection: str, role: Role) -> Any:
        client = super().s3(connection, role)

        def refused(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListBuckets")

        client.list_buckets = refused
        return client


def test_a_prover_that_cannot_list_buckets_says_so(case: Case) -> None:
    evidence = case.scan(Short(case.world))
    assert wrong(evidence) == {"dragnet.vault": Verdict.UNVERIFIED}
    assert {c.name for c in evidence.checks} == {"dragnet.vault", f"dragnet.{case.photos}"}


class Late(Prover):
    """A prover who was told of a bucket that is not there any more. ``still``: it is, but may not be listed."""

    def __init__(self, world: World, name: str, *, still: bool) -> None:
        super().__init__(world)
        self.name, self.still, self.asked = name, still, 0

    def s3(self, connection: str, role: Role) -> Any:
        client = super().s3(connection, role)
        there = client.list_buckets

        def listed(**_: Any) -> Any:
            self.asked += 1
            found = there()["Buckets"]
            return {"Buckets": [*found, {"Name": self.name}] if self.still or self.asked == 1 else found}

        client.list_buckets = listed
        return client


@pytest.mark.parametrize("still", [False, True], ids=["removed", "there"])
def test_a_bucket_that_nobody_declared_and_that_was_removed_meanwhile_is_no_doubt(
    case: Case, still: bool
) -> None:
    evidence = case.scan(Late(case.world, f"gone-{case.world.tag}", still=still))
    about = {c.name: c.verdict for c in evidence.checks if c.name == f"dragnet.gone-{case.world.tag}"}
    assert about == ({f"dragnet.gone-{case.world.tag}": Verdict.UNVERIFIED} if still else {})
