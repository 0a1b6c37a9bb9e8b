"""``quietus anonymity``: what of a dataset stays without its people, and how anonymous that is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.commands import _common as common
from include.commands import _publishing
from include.commands._options import AsJson
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.model.catalogue import Catalogue
    from include.model.releases import Quasi, Release

app = typer.Typer(help="What stays without its people, and how anonymous it is.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A release of releases.yaml, or the dataset that it is of.")]
_publishing.register(app)
BELOW = 3  # the exit status if what is there may not be called anonymous


@app.command()
def measure(name: Name, as_json: AsJson = False) -> None:
    """Classes, k, l, t, what was suppressed, and the risk of the smallest class, counted by the prover.

    Exit status 0: k is what is declared, without identifiers; 3: it is not, or only de-identification is claimed. Measuring is
    not the whole proof: whether old rows and pseudonyms are gone, and whether an attack fails, is in the evidence of the release.
    """
    from include.commands._connections import connections
    from include.model.words import Verdict
    from include.proofs import anonymity, grading
    from include.proofs.server import Reader

    catalogue = common.catalogue()
    release = _release(catalogue, name)
    dataset = catalogue.dataset(release.dataset)
    store = catalogue.store(dataset.store)
    found = anonymity.measure(Reader.of(connections(), store.id, store.connection), dataset, release)
    graded = grading.of_release(catalogue, connections(), release, found)
    called = anonymity.word(release, Verdict.UNVERIFIED)
    if as_json:
        Console(highlight=False).print_json(
            json.dumps(
                asdict(found)
                | {
                    "grade": graded.grade,
                    "graded": graded.said,
                    "release": release.id,
                    "as_declared": found.as_declared(release),
                    "word": called,
                }
            )
        )
    else:
        common.say(f"{release.id}: {release.title}")
        common.say(f"rows {found.rows}, classes {found.classes}, suppressed {found.suppressed}")
        common.say(f"k {found.k} (declared {release.k})")
        for column, wanted in release.sensitive.items():
            far = "" if wanted.t is None else f" (declared {wanted.t})"
            common.say(f"{column}: l {found.l[column]} (declared {wanted.l}), t {found.t[column]:.3f}{far}")
        common.say(
            f"risk of the smallest class 1/k = {1 / found.k:.3f} (declared {1 / release.k:.3f})"
            if found.k
            else "nothing was released yet"
        )
        common.say(graded.said + (f" (declared {release.grade})" if release.grade else ""))
        common.say(called)
    if not found.as_declared(release):
        raise typer.Exit(BELOW)


@app.command()
def explain(name: Name) -> None:
    """What the catalogue declares: what is dropped, what is made coarser and how, what is kept secret, by which figures."""
    for line in _explained(_release(common.catalogue(), name)):
        common.say(line)


def _release(catalogue: Catalogue, name: str) -> Release:
    for release in catalogue.releases:
        if name in (release.id, release.dataset):
            return release
    raise Refused(
        "no release of that name is declared, nor one of such a dataset", about=name,
        next_step=f"name one of: {', '.join(r.id for r in catalogue.releases)}",
    )  # fmt: skip


def _explained(release: Release) -> list[str]:
    lines = [
        f"{release.id}: {release.title} ({release.rule})",
        f"  of {release.dataset}, {'into ' + release.into if release.into else 'in place'}",
        f"  claims to be {release.claims}" + (f": {release.why}" if release.why else ""),
        f"  dropped: {', '.join(release.drop)}",
    ]
    lines += [f"  made coarser: {column}, {_levels(quasi)}" for column, quasi in release.quasi.items()]
    lines += [
        f"  nobody shall learn: {column}, l {wanted.l}"
        + (f", t {wanted.t} {'by ranks' if wanted.ordered else 'with equal distances'}" if wanted.t else "")
        for column, wanted in release.sensitive.items()
    ]
    lines += [f"  as it is: {column}, {why}" for column, why in release.plain.items()]
    lines += [f"  goes first: {name}" for name in release.pseudonyms]
    owner = release.threshold.owner
    lines.append(f"  k {release.k}, at most {release.suppress_at_most:.0%} suppressed ({release.small})")
    if release.grade is not None:
        lines.append(f"  must reach grade {release.grade}: a risk below {release.threshold.risk}")
    lines.append(f"  after {release.threshold.cite}: {release.threshold.text}")
    lines.append(
        f"  owned by {owner} since {release.threshold.approved_on}"
        if owner
        else "  nobody owns these figures: a proposal"
    )
    return lines


def _levels(quasi: Quasi) -> str:
    if quasi.date:
        steps = " → ".join(quasi.date)
    elif quasi.band:
        steps = " → ".join(f"bands of {w}" for w in quasi.band)
    elif quasi.prefix:
        steps = " → ".join(f"first {n}" for n in quasi.prefix)
    else:
        steps = f"{len(quasi.map)} values, {quasi.steps} levels above"
    return f"{steps} → all one" + (f", never finer than level {quasi.at_least}" if quasi.at_least else "")
