"""Every name that a check of this room may bear, and what a check of that name says.

A check is called ``<what>.<place>``; ``what`` is the stable part. Evidence with a name that is not here is not
made, and the tests hold a planted fault against every name that can fail: nobody adds a check without a control.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from include.model.flow import Check

POSTGRES, S3 = "postgres", "s3"


@dataclass(frozen=True)
class Name:
    """One kind of check. ``says_only``: it never fails; it says of something that nobody could look at it."""

    kind: str
    what: str
    stores: tuple[str, ...]
    means: str
    says_only: bool = False


NAMES = (
    Name(
        "baseline", "cohort", (POSTGRES, S3), "the step area is about the people of the step, and no others"
    ),
    Name("baseline", "seen", (POSTGRES, S3), "the prover finds by itself as many items as were located"),
    Name("baseline", "there", (POSTGRES, S3), "and they are the same ones, key by key"),
    Name("baseline", "digest", (POSTGRES,), "and their digest is the one that the plan was made of"),
    Name("baseline", "keys", (S3,), "no key goes that opens an object which must stay"),
    Name(
        "baseline",
        "opens",
        (S3,),
        "each version was seen to open with its key, which goes; one ciphertext a key is kept",
        says_only=True,
    ),
    Name("restricted", "hidden", (POSTGRES,), "no business role reads a row of the person"),
    Name(
        "restricted", "refused", (POSTGRES,), "no business role adds, changes or deletes a row of the person"
    ),
    Name("restricted", "undeclared", (POSTGRES,), "nor does a role that the catalogue does not declare"),
    Name("restricted", "listed", (POSTGRES,), "everybody of the step is on the restriction list"),
    Name("restricted", "measure", (POSTGRES,), "a measure of the restriction holds, by its own proof"),
    Name("restricted", "marked", (S3,), "every version of the person bears the mark of the restriction"),
    Name(
        "restricted",
        "open",
        (S3,),
        "no file in which others have records bears the mark: it would be denied to all",
    ),
    Name(
        "restricted", "denied", (S3,), "no business role opens what is marked, nor by the bucket's policy may"
    ),
    Name(
        "restricted",
        "enforced",
        (POSTGRES, S3),
        "what is not closed, or could not be tried: rows or files are others' too, no policy enforced, no key",
        says_only=True,
    ),
    Name("gone", "planned", (POSTGRES, S3), "the step area still says of each item what the plan says"),
    Name("gone", "anew", (POSTGRES, S3), "nothing of the person that the plan does not know"),
    Name("gone", "kept", (POSTGRES, S3), "what must stay is all there"),
    Name("gone", "frozen", (POSTGRES,), "what stays untouched was not written since the restriction"),
    Name("gone", "gone", (POSTGRES, S3), "nothing that was to go is there"),
    Name("gone", "cut", (POSTGRES,), "what was cut holds the declared constants, and no link"),
    Name("gone", "unlinkable", (POSTGRES,), "no hash on a chain can be computed again from what we keep"),
    Name("gone", "fresh", (POSTGRES,), "no materialised view shows what its tables no longer hold"),
    Name("gone", "replayed", (POSTGRES,), "every standby has replayed the log past what the step did"),
    Name("gone", "head", (S3,), "a HEAD for a key that went finds nothing"),
    Name("gone", "bytes", (S3,), "no version, marker, upload or record in any version is left"),
    Name("gone", "replicas", (S3,), "nor anything in a bucket that this one is replicated to"),
    Name("gone", "unlinked", (S3,), "no row ties a shared object to the person any more"),
    Name("gone", "key_destroyed", (S3,), "no key that can be found opens what is kept of what went"),
    Name("gone", "noise", (S3,), "nor of what a lock keeps beyond its key"),
    Name("gone", "beyond", (POSTGRES,), "a rung that is asked for and that no query can see", says_only=True),
    Name("residue", "dead", (POSTGRES,), "no snapshot sees any more what was deleted"),
    Name("residue", "rewritten", (POSTGRES,), "its files were written anew since, from live rows alone"),
    Name(
        "residue",
        "bytes",
        (POSTGRES,),
        "no value of the person, and no piece of what went, is in a live file, read as bytes",
    ),
    Name(
        "own_log",
        "log",
        (POSTGRES,),
        "nor in the server's own log: no segment, recycled or kept, is from before",
    ),
    Name("bystanders", "touched", (POSTGRES,), "the disposing transaction wrote no row but the step's own"),
    Name("bystanders", "declared", (POSTGRES,), "declared side effects wrote no more rows than declared"),
    Name("bystanders", "savepoints", (POSTGRES,), "rows may bear another transaction id", says_only=True),
    Name("pictures", "declared", (POSTGRES,), "what is declared to change grew by no more than declared"),
    Name("pictures", "unchanged", (POSTGRES, S3), "everybody else's rows and objects are the same bytes"),
    Name("pictures", "rest", (POSTGRES,), "what stays of the person's rows is the same but for the cut"),
    Name("pictures", "records", (S3,), "other people's records in shared files are the same bytes"),
    Name(
        "drill", "restored", (POSTGRES,), "a restored copy has no row of the person but what the plan keeps"
    ),
    Name("anonymity", "k", (POSTGRES,), "every class of what was released has as many rows as declared"),
    Name("anonymity", "l", (POSTGRES,), "and as many distinct values of each sensitive column"),
    Name("anonymity", "t", (POSTGRES,), "and is no farther from the whole than declared"),
    Name("anonymity", "rare", (POSTGRES,), "no sensitive value is shared by fewer than k rows"),
    Name("anonymity", "identifiers", (POSTGRES,), "nothing that was to be dropped is there"),
    Name("anonymity", "pseudonyms", (POSTGRES,), "no pseudonym is left to which no row leads"),
    Name(
        "anonymity",
        "linkage",
        (POSTGRES,),
        "whoever knows an original singles nobody out, and learns nothing",
    ),
    Name(
        "anonymity",
        "grade",
        (POSTGRES,),
        "it has the grade that it declares, by the company's reading of a standard",
    ),
    Name(
        "anonymity",
        "claimed",
        (POSTGRES,),
        "what is declared de-identified only passes nothing: it is still personal",
    ),
    Name("anonymity", "originals", (POSTGRES,), "the files of its old table hold no original"),
    Name("due", "due", (POSTGRES, S3), "no more is due of a dataset than the night says that it left"),
    Name(
        "due", "strays", (S3,), "objects whose paths lead to nobody, so that no rule is known", says_only=True
    ),
    Name("conservation", "sums", (POSTGRES,), "located = transferred + deleted + anonymised + retained"),
    Name("conservation", "open", (POSTGRES,), "the books name nothing that is on its way or not explained"),
    Name("conservation", "located", (POSTGRES,), "what the books say was located is what was counted on T0"),
    Name("conservation", "roots", (POSTGRES,), "of each bag both sides computed the same root"),
    Name("conservation", "signed", (POSTGRES,), "as many are transferred as the successor signed for"),
    Name("custody", "stored", (POSTGRES,), "the successor has stored as many items as were signed"),
    Name("custody", "same", (POSTGRES,), "the root of what it has stored is the one that was signed"),
    Name("custody", "differences", (POSTGRES,), "and no item is missing, changed or too many"),
    Name("custody", "kept", (POSTGRES,), "what a notice could only keep is there for as long as it is to be"),
    Name(
        "estate", "holds", (POSTGRES, S3), "a declared dataset holds what stays after a shutdown, and no more"
    ),
    Name(
        "estate", "undeclared", (POSTGRES, S3), "nothing is in a table, bucket or path that nobody declared"
    ),
    Name("estate", "column", (POSTGRES,), "nothing is in a column that nobody declared"),
    Name("estate", "derived", (POSTGRES,), "a declared copy shows nothing that its tables do not hold"),
    Name("estate", "needle", (POSTGRES,), "no row that stays says an identifier of somebody else"),
    Name("dragnet", "dragnet", (POSTGRES, S3), "no value of the person anywhere, declared or not"),
    Name("dragnet", "statistics", (POSTGRES,), "the planner's statistics hold no value that no row has"),
)

_KNOWN = {(n.kind, n.what) for n in NAMES}


def what(name: str) -> str:
    """The stable part of a check's name."""
    return name.partition(".")[0]


def unknown(kind: str, checks: Iterable[Check]) -> list[str]:
    """The names among the checks that nobody declared for this kind of evidence."""
    return sorted({c.name for c in checks if (kind, what(c.name)) not in _KNOWN})
