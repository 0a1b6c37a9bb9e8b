"""A bulk delete is believed item by item; a busy server is waited for; errors quote codes, never values."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from include.model.errors import CatalogueError, NotReachable, QuietusError, Refused
from include.stores.s3.server import Patience, delete_versions, reaching
from tests.stores.s3.world import World, planned, provide


class Scripted:
    """A server that answers bulk deletes by a script; busy and partial answers cannot be had on demand."""

    def __init__(self, *answers: list[dict[str, str]]) -> None:
        self.answers, self.asked = list(answers), list[list[tuple[str, str]]]()

    def delete_objects(self, *, Bucket: str, Delete: Any) -> Any:
        self.asked.append([(o["Key"], o["VersionId"]) for o in Delete["Objects"]])
        errors = self.answers.pop(0) if self.answers else []
        return {"Errors": errors, "ResponseMetadata": {"RequestId": f"r{len(self.asked)}"}}


def delete(server: Scripted, pairs: list[tuple[str, str]], budget: float = 5.0) -> Any:
    return delete_versions(server, "b", pairs, Patience(budget, first=0.001), "test")  # type: ignore[arg-type]


def test_ten_thousand_versions_take_ten_requests() -> None:
    server = Scripted()
    assert delete(server, [(str(n), "v") for n in range(10_000)]).gone == 10_000
    assert [len(batch) for batch in server.asked] == [1000] * 10


def test_only_the_busy_ones_are_tried_again() -> None:
    server = Scripted([{"Key": "b", "VersionId": "1", "Code": "SlowDown"}], [])
    done = delete(server, [("a", "1"), ("b", "1"), ("b", "2")])
    assert (done.gone, done.stayed) == (3, {})
    assert server.asked[1:] == [[("b", "1")]]


def test_a_busy_error_without_its_version_tries_all_versions_of_the_key_again() -> None:
    server = Scripted([{"Key": "b", "Code": "InternalError"}], [])
    assert delete(server, [("a", "1"), ("b", "1"), ("b", "2")]).gone == 3
    assert server.asked[1:] == [[("b", "1"), ("b", "2")]]


def test_a_refusal_is_counted_by_its_code_and_absence_is_success() -> None:
    server = Scripted(
        [{"Key": "a", "VersionId": "1", "Code": "AccessDenied"}, {"Key": "b", "Code": "NoSuchVersion"}]
    )
    done = delete(server, [("a", "1"), ("b", "1"), ("c", "1")])
    assert (done.gone, done.stayed) == (2, {"AccessDenied": 1})


def test_a_server_that_stays_busy_spends_the_shared_budget() -> None:
    server = Scripted(*[[{"Key": "a", "VersionId": "1", "Code": "SlowDown"}]] * 99)
    with pytest.raises(NotReachable, match="budget"):
        delete(server, [("a", "1")], budget=0.05)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("SlowDown", NotReachable), ("503", NotReachable), ("NoSuchBucket", CatalogueError),
     ("AccessDenied", Refused), ("403", Refused), ("MalformedXML", QuietusError)],
)  # fmt: skip
def test_an_answer_becomes_one_of_our_errors_without_its_message(code: str, kind: type[QuietusError]) -> None:
    with pytest.raises(kind) as caught, reaching("kyc.photo"):
        raise ClientError({"Error": {"Code": code, "Message": "id/acct_secret/1"}}, "GetObject")
    assert "acct_secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_silence_is_not_reachable() -> None:
    with pytest.raises(NotReachable) as caught, reaching("kyc.photo"):
        raise EndpointConnectionError(endpoint_url="http://u:secret@h")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_down_is_not_reachable_at_any_verb_and_a_later_run_goes_on(on_moto: World) -> None:
    """The connection breaks at the n-th request, for every n; the same verbs are then run again."""
    bucket = on_moto.bucket("photos")
    dataset = on_moto.objects(bucket, "id/{account_id}/")
    for who in "ab":
        on_moto.s3.put_object(Bucket=bucket, Key=f"id/{who}/1", Body=b"x")
    left, failures = [0], 0

    def broken(**_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise EndpointConnectionError(endpoint_url="http://gone")

    on_moto.eraser.meta.events.register("before-send.s3", broken)
    for n in range(200):
        left[0] = n
        store, step = on_moto.store(), on_moto.step("a")
        try:
            plan = planned(store, step, provide(dataset))
            store.dispose(step, plan)
        except NotReachable:
            failures += 1
            continue
        break
    left[0] = 1000
    assert failures > 10
    assert [v[0] for v in on_moto.versions(bucket)] == ["id/b/1"]
    assert store.receipts(step)[-1].counts == {dataset.id: {"erased": 1}}
