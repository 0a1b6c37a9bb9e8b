"""Tasks of the releases by the calendar. What passes between them is case numbers and counts."""

from __future__ import annotations

from quietus_console.handing_out import certified_anew, hand_out_each
from quietus_console.quiet import only_at_night
from quietus_console.work import desk, now, step, today

from include.cases import publishing
from include.cases.retention import night_proofs, release_runs, releases
from include.model.errors import NotProved, QuietusError


@step(pool="disposals")
def make() -> list[str]:
    """Every release whose day has come. One that cannot be made keeps no other waiting."""
    only_at_night()
    at, done, failed = desk(), list[str](), list[str]()
    for release in release_runs.called_for(at, today()):
        try:
            run = releases.whole(at, release.id, **now())
        except QuietusError as error:
            failed.append(str(error))
            continue
        if not isinstance(run, str):
            done.append(run.case_no)
    if failed:
        raise NotProved(
            "; ".join(failed), about="releases", next_step="see each; the next run goes on with it"
        )
    return done


@step(pool="proofs")
def look_again(made: list[str]) -> list[str]:
    """Sets whose old rows lay in the files until the tables were written anew, tried again."""
    return [*made, *releases.look_again(desk(), **now())]


@step(pool="proofs")
def certify(cases: list[str]) -> str:
    """Their certificates; and cases whose last one is final are closed."""
    at = desk()
    failed = hand_out_each(at, cases)
    night_proofs.close_finished(at, **now())
    return certified_anew(cases, failed, "releases")


@step(pool="proofs")
def nobody_reads_past_the_gate() -> str:
    """Red while a role may read a set, or what it is made of, that is not declared to: it could give it away untried."""
    found = {r: roles for r, roles in publishing.who_else_reads(desk()).items() if roles}
    if found:
        raise NotProved(
            "; ".join(f"{r}: {', '.join(roles)}" for r, roles in found.items()), about="the gate of releases",
            next_step="take the right away, or declare the role with its reason in releases.yaml",
        )  # fmt: skip
    return "nobody but those who are declared"
