"""What a service's certificate says of recipients, backups, the look through the whole estate, media and all that stays, held
against the log. For ``verify_service.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

if __package__:
    from include.ledger import verify
    from include.ledger import verify_service_said as terms
else:  # run as a file, as a custodian does: those beside it, whatever is installed
    import verify  # type: ignore[import-not-found, no-redef]
    import verify_service_said as terms  # type: ignore[import-not-found, no-redef]

Entries = dict[int, dict[str, Any]]
Said = dict[str, Any]


def check_recipients(p: Said, entries: Entries) -> Iterator[str]:
    """Whoever was to be told has come to an end."""
    index = p["proofs"]["recipients"]
    wanted = (
        set()
        if index is None
        else set(terms.event(p, entries, index, "recipients told").get("recipients", ()))
    )
    if missing := sorted(wanted - {r["recipient"] for r in p["recipients"]}):
        yield f"of {', '.join(missing)} it is not said what became of the notice"
    if index is None and p["recipients"]:
        yield "recipients are told of, and the ledger does not say that they were told"
    for r in p["recipients"]:
        for what in verify.told_problems(r, "auditor"):
            yield f"{r['recipient']}: {what}"
        if r["outcome"] == "open":
            yield f"{r['recipient']}: is silent, and was not escalated"


def check_copies(p: Said, entries: Entries) -> Iterator[str]:
    """No backup set reaches back to before what went."""
    for c in p["copies"]:
        if c["gone_on"] is None:
            yield f"backup set {c['backup_set']} still reaches back"
        yield from verify.copy_problems(c, entries)


def check_dragnet(p: Said, entries: Entries) -> Iterator[str]:
    """The whole estate was looked through after the last deed, every part of the look is here, and nothing failed."""
    parts: dict[str, list[Said]] = {}
    moments = set()
    for index in p["proofs"]["dragnet"]:
        said = terms.event(p, entries, index, "dragnet")
        moments.add(said.get("observed_at"))
        if p["format"] != terms.FORMER and said.get("media") != sorted(x["medium"] for x in p["carriers"]):
            yield f"ledger entry {index}: when the estate was looked through it was on other media"
        parts.setdefault(said["store"], []).append(said)
        if index < max(p["proofs"]["books"], *(c[k] for c in p["cases"] for k in ("begun", "entry")), 0):
            yield f"ledger entry {index}: the estate was looked through before the last deed"
        for what, told in (
            ("cases", [c["case"] for c in p["cases"]]),
            ("recipients", [r["recipient"] for r in p["recipients"]]),
            ("backup_sets", [f"{c['store']}: {c['backup_set']}" for c in p["copies"]]),
        ):
            if said.get(what) != sorted(set(told)):
                yield f"ledger entry {index}: when the estate was looked through the order had other {what.replace('_', ' ')}"
    if not parts:
        yield "the estate was not looked through"
    if len(moments) > 1:
        yield "the parts of the look through the estate are of several looks"
    for store, those in parts.items():
        if sorted(x["part"] for x in those) != list(range(those[0]["parts"])):
            yield f"the look through store {store} is not whole"
    looked = [(store, check) for store, those in parts.items() for x in those for check in x["checks"]]
    yield from _passed(p, looked, entries)
    yield from _held(p, {check["name"]: check for _, check in looked})


def check_carriers(p: Said, entries: Entries) -> Iterator[str]:
    """Of each store, backup set and key a medium was sanitised since the last case that took something from it, by a record in
    the log, and nothing of it stays; or both approvers said what becomes of its media, or of the others."""
    if p["format"] == terms.FORMER:
        return
    told = Counter(x["medium"] for x in p["carriers"])
    yield from (f"{medium} is told {n} times" for medium, n in told.items() if n > 1)
    needed = {f"backup_set:{c['backup_set']}" for c in p["copies"]}
    if p["scope"] == "company":
        stores = {terms.event(p, entries, index, "dragnet")["store"] for index in p["proofs"]["dragnet"]}
        needed |= {f"store:{store}" for store in stores}
    for medium in sorted(needed - told.keys()):
        yield f"{medium}: nothing says what became of its media"
    held, taken = _on_stores(p, entries), _taken_on(p, entries)
    retained = {b["dataset"] for b in p["books"] if b["retained"]} | {k["dataset"] for k in p["residual"]}
    for x in p["carriers"]:
        kind, _, name = x["medium"].partition(":")
        store = next(
            (c["store"] for c in p["copies"] if (kind, c["backup_set"]) == ("backup_set", name)), name
        )
        # Of a set that is among no copies nobody sees here whose it is.
        unknown = kind == "backup_set" and store == name and store not in held
        every_one = {d for those in held.values() for d in those}
        carries = {name} if kind == "keys" else every_one if unknown else held.get(store, set())
        if x["record"] is not None:
            since = max([p["closed_on"], *(taken[d] for d in carries & taken.keys())])
            yield from _sanitised(x, entries, since)
        if x["record"] is None or x["becomes"] is not None or x["entries"]:
            yield from _spoken_for(p, x, entries)
        elif left := sorted(carries & retained):
            yield f"{x['medium']}: {left[0]} stays, and of media beside that of record {x['record']} nobody says what becomes"


def _on_stores(p: Said, entries: Entries) -> dict[str, set[str]]:
    """The datasets of each store, as the look through the estate counted what it holds."""
    found: dict[str, set[str]] = {}
    for index in p["proofs"]["dragnet"]:
        said = terms.event(p, entries, index, "dragnet")
        names = [c["name"] for c in said.get("checks", ())]
        found.setdefault(said["store"], set()).update(
            n.removeprefix("holds.") for n in names if n.startswith("holds.")
        )
    return found


def _taken_on(p: Said, entries: Entries) -> dict[str, str]:
    """Of each dataset the last day on which a case of the order was begun that took something of it."""
    of = {b["bag"]: b["dataset"] for b in p["bags"]}
    found: dict[str, str] = {}
    for c in p["cases"]:
        body = entries.get(c["begun"], {"body": {}})["body"]
        if "as_of" not in body:  # it is none of the order's, and that is named
            continue
        names = {of[b] for b in terms.every(body.get("bags", ())) if b in of} | {*body.get("going", ())}
        day = str(verify.day(body["as_of"], "the day of a case"))
        found |= {d: max(day, found.get(d, day)) for d in names}
    return found


def _sanitised(x: Said, entries: Entries, since: str) -> Iterator[str]:
    entry = entries.get(x["entry"], {"kind": "", "body": {}})
    body, (kind, _, name) = entry["body"], x["medium"].partition(":")
    about = {
        "store": body.get("store") == name,
        "backup_set": body.get("backup_set") == name,
        "keys": body.get("medium") == "key" and name in (body.get("datasets") or ()),
    }
    if entry["kind"] != "sanitised" or body.get("record") != x["record"] or not about.get(kind):
        yield f"{x['medium']}: record {x['record']}, which says that it was sanitised, is not among the entries given"
    elif verify.day(body["sanitised_on"], "the day of a record") < verify.day(since, "a day"):
        yield f"{x['medium']}: record {x['record']} is of before the last case that took from it, and it had data on it since"


def _spoken_for(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    medium = x["medium"]
    words = [terms.event(p, entries, index, terms.SPOKEN_FOR) for index in x["entries"]]
    if not terms.by_both(words):
        yield f"{medium}: no record says that it was sanitised, and not both approvers of the order say what becomes of it"
        return
    said = {k: x[k] for k in ("becomes", "who", "until", "document", "digest")}
    same = all(medium in w.get("media", ()) and all(w.get(k) == v for k, v in said.items()) for w in words)
    if not same or x["answered_on"] != max(w["as_of"] for w in words):
        yield f"{medium}: what becomes of it is another by the ledger"
    if min(x["entries"]) < p["proofs"]["closed"]:
        yield f"{medium}: what becomes of it was said before collection was closed"
    if x["becomes"] not in (terms.STAYS, terms.RENTED, terms.LATER) or (x["becomes"] == terms.LATER) != (
        x["until"] is not None
    ):
        yield f"{medium}: nothing says what becomes of it"
    elif x["until"] is not None and verify.day(x["until"], "a day") < verify.day(p["as_of"], "as_of"):
        yield f"{medium}: it was to be sanitised by {x['until']}, and no record says so"
    if x["becomes"] == terms.RENTED and not x["who"]:
        yield f"{medium}: it is rented, and nobody is named whose it is"
    if x["becomes"] == terms.STAYS and (
        x["who"] != p["custodian"] or (p["scope"] == "company" and not x["who"])
    ):
        yield f"{medium}: it stays in service with somebody else than the custodian"


def _passed(p: Said, looked: list[tuple[str, Said]], entries: Entries) -> Iterator[str]:
    """Each check of the look passed, but for identifiers that could not be looked for in a store, which are told and answered
    for."""
    told = {(x["store"], f"needle.{x['store']}", "unverified", x["why"]): x for x in p.get("unsought", ())}
    missed = []
    for store, check in looked:
        if (where := (store, check["name"], check["verdict"], check["why"])) in told:
            missed.append(where)
        elif check["verdict"] != "passed":
            yield f"the look through the estate did not pass: {check['name']} is {check['verdict']}"
        elif check["observed"] != check["expected"]:
            yield f"the look through the estate did not pass: {check['name']} saw {check['observed']}"
    for x in p.get("unsought", ()):
        if (x["store"], f"needle.{x['store']}", "unverified", x["why"]) not in missed:
            yield f"{x['store']} is told as not looked through for identifiers, and the look did not say so"
        yield from _answered_for(p, x, entries)


def _answered_for(p: Said, x: Said, entries: Entries) -> Iterator[str]:
    """Both approvers declared the key of what was gathered lost, by that document, and before the look."""
    about = f"identifiers in {x['store']}"
    if terms.event(p, entries, x["gathered"], terms.GATHERED).get("identifiers") != x["identifiers"]:
        yield f"{about}: by the ledger another number of them was gathered"
    words = [terms.event(p, entries, index, terms.LOST) for index in x["entries"]]
    if not terms.by_both(words):
        yield f"{about}: not both approvers of the order answer for it"
        return
    said = {k: x[k] for k in ("document", "digest", "identifiers")}
    if any(w.get(k) != v for w in words for k, v in said.items()) or x["answered_on"] != max(
        w["as_of"] for w in words
    ):
        yield f"{about}: the answer that the ledger has is another"
    if not x["gathered"] < min(x["entries"]) < max(x["entries"]) < min(p["proofs"]["dragnet"], default=0):
        yield f"{about}: nobody answered for it between their gathering and the look"


def _held(p: Said, seen: dict[str, Said]) -> Iterator[str]:
    """Each dataset was looked at for as much as the books say stays of it."""
    for x in p["books"]:
        if x["dataset"].startswith("book."):
            continue
        check = seen.get(f"holds.{x['dataset']}")
        if check is None:
            yield f"nobody looked whether {x['dataset']} holds what stays and no more"
        elif check["expected"] not in (x["retained"], x["retained"] + x["anonymised"]):
            yield f"{x['dataset']} was looked at for {check['expected']} items, and {x['retained']} are told to stay"


def check_residual(p: Said) -> Iterator[str]:
    """All that stays has a law, a custodian and an end that has not passed, and is as much as the books say."""
    kept: Counter[str] = Counter()
    for k in p["residual"]:
        kept[k["dataset"]] += k["items"]
        if not k["law"].strip() or not k["custodian"]:
            yield f"{k['dataset']}: something stays without a law, or with nobody"
        ends = [verify.day(k[x], f"a {x} day") for x in ("first", "last") if k[x] is not None]
        if len(ends) != (0 if k["waits"] >= k["items"] else 2):  # none, where all of it waits for its start
            yield f"{k['dataset']}: something stays, and nothing says until when"
        if any(end < verify.day(p["as_of"], "as_of") for end in ends):
            yield f"{k['dataset']}: something stays though its last day is over"
    for x in p["books"]:
        if x["retained"] != kept.pop(x["dataset"], 0):
            yield f"of {x['dataset']} other numbers stay by the books and by the list of what stays"
    for dataset in sorted(kept):
        yield f"{dataset} is on the list of what stays, and in no books"


def check_rest(p: Said, entries: Entries) -> Iterator[str]:
    """Anonymous sets were tried again after the last books; media are in the log; dates can be."""
    retest = entries.get(p["proofs"]["retest"], {"kind": "", "body": {}})
    if retest["kind"] != "retest":
        yield "the test of what is called anonymous is not among the entries given"
    elif p["proofs"]["retest"] < p["proofs"]["books"]:
        yield "what is called anonymous was tested before the last books"
    if any(x["anonymised"] for x in p["books"]) and not retest["body"].get("sets"):
        yield "something was made anonymous, and no set was tested"
    if p["proofs"]["collection"] < p["proofs"]["closed"]:
        yield "the last look at collection came before it was closed"
    for one in retest["body"].get("sets", ()):
        if one["verdict"] != "passed":
            yield f"{one['set']} is not anonymous: its test is {one['verdict']}"
    for m in p.get("media", ()):
        if entries.get(m["entry"], {"kind": ""})["kind"] != "sanitised":
            yield f"the record {m['record']} of a medium is not among the entries given"
    as_of, observed = verify.day(p["as_of"], "as_of"), verify.moment(p["observed_at"], "observed_at")
    if as_of > observed.astimezone(verify.PRC).date() and not p["simulated"]:
        yield "the business date is after the day of observation, and the certificate is no simulation"
    if verify.day(p["t0"], "T0") > as_of or verify.day(p["closed_on"], "closed_on") > as_of:
        yield "it ends before T0"
    for index, entry in entries.items():
        at = entry["body"].get("observed_at")
        if at is not None and verify.moment(at, f"observed_at of ledger entry {index}") > observed:
            yield f"ledger entry {index} was observed after the certificate was made"
