"""What stores say in the same words on every plan and page: of shared items, and of a backlog that goes in stages."""

SHARED_LAW = "policy 11.4(7): another owner's lawful interest"

STAGED = "of a backlog, as many items went as tonight may: the rest is for the nights after"
"""Why a dataset is left by a night that a person let go on with so many items at most."""

LARGER = (
    "more items of its next file are due, in all of its versions, than tonight may still go, and a file goes at once:"
    " a night whose number leaves it {} takes it"
)
"""The same, where nothing of a dataset went. A night of which nothing else went either comes no further with that number."""


def is_staged(why: str, *, gone: int) -> bool:
    """Whether a dataset is left as a part of a backlog that goes in stages. ``gone``: how many items of the whole night
    went; while some do, a night after has more of its number for a file that was too large for this one."""
    return why == STAGED or (gone > 0 and why.startswith(LARGER.partition("{}")[0]))


def come_to_again(left: dict[str, str]) -> None:
    """Another try of the same night comes to what one before it left as a part of a backlog."""
    for dataset in [d for d, why in left.items() if is_staged(why, gone=1)]:
        del left[dataset]


def nothing() -> None:
    """Stands for ``may_go_on`` where nobody stops a night."""


def everything(wanted: int, *_datasets: str) -> int:
    """Stands for ``budget`` where all of so many items may go, of datasets that go together."""
    return wanted


def nowhere(_point: str) -> None:
    """Stands for ``at`` where nothing happens at the named points."""
