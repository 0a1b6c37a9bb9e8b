"""Schema ``usage``: what people did. Logs, devices, visits, places, cookies, services used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from include.sandbox.people.making import Making, Row, address_of_net, document, signing_serial, unique
from include.sandbox.people.transfers import MESSENGERS, given
from include.sandbox.people.values import hexed

SERVICES = ("signing", "timestamp", "certificate", "seal", "contract", "verification")
PAGES = ("/", "/login", "/sign", "/cert/apply", "/cert/renew", "/contract", "/help", "/account")
LOG_SHARES = (
    0,
    30,
    182,
    365,
    480,
)  # days ago: four spans of the network log, the middle ones of equal weight


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare:
        return
    yield from _log(m, r)
    if p.left is not None:
        return
    yield from _services(m, r)
    yield from _device(m, r)
    id_ = p.account_id
    if m.has(r, 0.1):
        yield "usage.location", {
            "location_id": m.id("location"), "account_id": id_, "longitude": round(r.uniform(100, 121), 6),
            "latitude": round(r.uniform(22, 41), 6), "grant_no": 1, "taken_at": m.ago(r.randrange(40), r),
        }  # fmt: skip
    if m.has(r, 0.4):
        yield "usage.cookie", {
            "cookie_id": hexed(r, 32), "account_id": id_, "site": "www", "numbers": hexed(r, 12),
            "seen_at": m.ago(r.randrange(500), r),
        }  # fmt: skip
    if m.has(r, 0.2):
        messenger, at = r.choice(MESSENGERS), m.ago(r.randrange(1, 480), r)
        yield "usage.partner_log", {
            "partner_log_id": m.id("partner_log"), "account_id": id_, "partner": messenger,
            "line": f"sms mobile={p.mobile} template=login status=DELIVRD", "occurred_at": at,
        }  # fmt: skip
        yield from given(m, r, messenger, at)


def _log(m: Making, r: Random) -> Iterator[Row]:
    """Younger than six months, which must stay, and older. Who left has only what must stay."""
    p = m.person
    spans = [(a, b) for a, b in pairwise(LOG_SHARES) if p.left is None or b <= 182]
    home = address_of_net(r)
    for earliest, latest in spans:
        for _ in range(3 if p.full else r.randrange(2)):
            days = r.randrange(max(earliest, p.left or 0), max(latest, (p.left or 0) + 1))
            yield "usage.access_log", {
                "log_id": m.id("access_log"), "occurred_at": m.ago(days, r), "account_id": p.account_id,
                "page": r.choice(PAGES), "ip": home if r.random() < 0.7 else address_of_net(r),
            }  # fmt: skip


def _services(m: Making, r: Random) -> Iterator[Row]:
    for service in SERVICES if m.person.full else r.sample(SERVICES, r.randrange(1, 4)):
        for _ in range(r.randrange(1, 3)):
            yield "usage.service_use", {
                "service_use_id": m.id("service_use"), "account_id": m.person.account_id, "service": service,
                "way": r.choice(("app", "web", "api")), "used_at": m.ago(r.randrange(300), r),
            }  # fmt: skip


def _device(m: Making, r: Random) -> Iterator[Row]:
    if not m.has(r, 0.5):
        return
    p = m.person
    device, used = unique(r), r.randrange(1, 400)
    yield "usage.device", {
        "device_id": device, "account_id": p.account_id, "os_version": r.choice(("Android 15", "iOS 18.1", "HarmonyOS 5")),
        "settings": document(locale="zh-CN", name=f"{p.name}的手机", network="wifi"), "fingerprint": hexed(r, 40),
        "certificate_serial": signing_serial(m.seed, p), "last_used_at": m.ago(used),
    }  # fmt: skip
    for n in range(r.randrange(1, 4)):
        yield "usage.page_visit", {
            "device_id": device, "visit_no": n, "page": r.choice(PAGES), "online_seconds": r.randrange(3, 900),
            "visited_at": m.ago(used + n),
        }  # fmt: skip
