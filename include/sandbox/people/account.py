"""Schema ``account``: log-ins, natural persons, consents, minors, what contact data were before."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.making import Making, Row, address_of_net, document, unique
from include.sandbox.people.person import Person, source
from include.sandbox.people.transfers import MESSENGERS, given
from include.sandbox.people.values import full_name, hexed, mobile, resident_id

POLICY = "2025-03"
PURPOSES = ("real-name certificate", "face recognition", "location", "newsletter")


def age_band(person: Person) -> str:
    """As the company's trigger computes it from the birth date on the ID card."""
    return f"{person.born.year // 10 * 10}s"


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    slept = None if p.left or p.bare else r.randrange(min(m.since, 400))
    yield "account.account", {
        "account_id": p.account_id, "kind": p.kind, "user_name": None if p.left else p.user_name,
        "country": None if p.left else "CN", "policy_version": POLICY, "registered_at": m.ago(m.since),
        "last_login_at": None if slept is None else m.ago(slept),
        "cancelled_at": m.ago(p.left) if p.left else None,
        # Told well ahead: before 24 months are over nothing follows from it.
        "dormancy_noticed_at": m.ago(5) if slept is not None and slept > 360 else None,
    }  # fmt: skip
    if p.bare:
        return
    yield from _consents(m, r)
    if p.left is not None:
        return
    if p.kind != "enterprise":
        yield from _natural_person(m, r)
    yield from _log_in(m, r)
    yield "account.preference", {
        "account_id": p.account_id, "locale": "zh-CN",
        "greeting_name": p.name[0] + ("女士" if p.female else "先生") if m.has(r, 0.6) else None,
        "settings": document(
            theme=r.choice(("dark", "light")), device={"model": f"M{r.randrange(10, 90)}", "push": True},
            notify={"mobile": p.mobile, "email": p.email},
        ),
    }  # fmt: skip


def _consents(m: Making, r: Random) -> Iterator[Row]:
    for purpose in PURPOSES if m.person.full else PURPOSES[: r.randrange(1, 4)]:
        yield "account.consent", {
            "consent_id": m.id("consent"), "account_id": m.person.account_id, "policy_version": POLICY,
            "purpose": purpose, "given_at": m.ago(m.since),
            "withdrawn_at": m.ago(m.person.left) if m.person.left is not None else None,
        }  # fmt: skip


def _natural_person(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    yield "account.person", {
        "account_id": p.account_id, "full_name": p.name, "document_type": "居民身份证", "document_no": p.document_no,
        "mobile": p.mobile, "email": p.email, "age_band": age_band(p) if m.applications else None,
    }  # fmt: skip
    if p.old_mobile or p.old_email:
        # The one change that led to what stands above, as the trigger wrote it down.
        yield "account.person_history", {
            "history_id": m.id("history"), "account_id": p.account_id, "changed_at": m.ago(r.randrange(m.since)),
            "old_mobile": p.old_mobile or p.mobile, "old_email": p.old_email or p.email,
        }  # fmt: skip
    age = p.age(m.today)
    if p.guarded is not None:
        yield "account.minor", {
            "account_id": p.account_id, "under_14": age < 14, "aged_14_to_18": 14 <= age < 18, "noticed_at": m.ago(2)
        }  # fmt: skip
    if p.guarded:
        g = source(m.seed, p.number, "guardian")
        born = p.born.replace(year=p.born.year - g.randrange(22, 40), day=1)
        name = p.name[0] + full_name(g, True)[1:]
        yield "account.guardian_consent", {
            "account_id": p.account_id, "guardian_name": name, "guardian_document_no": resident_id(g, born, True),
            "relation_proof": f"户口簿:{name}系{p.name}之母,电话{mobile(m.seed, 90_000_000 + p.number)}",
            "consented_at": m.ago(m.since),
        }  # fmt: skip


def _log_in(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    changed = r.randrange(m.since)
    yield "account.credential", {
        "account_id": p.account_id, "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$" + hexed(r, 64),
        "changed_at": m.ago(changed),
    }  # fmt: skip
    for n in range(r.randrange(1, 4)):
        yield "account.session", {
            "session_id": unique(r), "account_id": p.account_id, "token_hash": hexed(r, 64),
            "ip": address_of_net(r), "created_at": m.ago(n * 3 + 1), "revoked_at": m.ago(n * 3) if n else None,
        }  # fmt: skip
    if m.has(r, 0.3):
        sent = m.ago(1, r)
        yield "account.login_code", {
            "login_code_id": m.id("login_code"), "account_id": p.account_id, "code_hash": hexed(r, 64),
            "mobile": p.mobile, "sent_at": sent, "used_at": sent if r.random() < 0.8 else None,
        }  # fmt: skip
        yield from given(m, r, r.choice(MESSENGERS), sent)
    if m.has(r, 0.05):
        yield "account.api_token", {
            "api_token_id": m.id("api_token"), "account_id": p.account_id, "token_hash": hexed(r, 64),
            "label": "batch signing", "created_at": m.ago(changed),
            "revoked_at": m.ago(changed // 2) if r.random() < 0.3 else None,
        }  # fmt: skip
