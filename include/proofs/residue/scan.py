"""The pass: every file once, everybody's values at once, in memory that does not grow with the files.

Of a window of a file its bytes are searched; of a relation's, besides, what its pages hold compressed and, at its end, what its
chunks say together; of WAL the records as one stream and the pages in them. A place is named by file and page, a subject by
its number, a value never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Literal

from include.proofs.residue.files import CONTROL, Kind, Part, Sealed, Source, Unread
from include.proofs.residue.needles import needles
from include.proofs.residue.pages import PAGE, Bytes, compressed
from include.proofs.residue.search import MARGIN, Hit, Search
from include.proofs.residue.toast import Chunks
from include.proofs.residue.wal import Piece, Stream
from include.proofs.values import Net, Values

WINDOW = 4 << 20  # bytes, whole pages
MOST_PLACES = 10_000  # that are named; more are counted
FEW = 100  # subjects of whom digests are looked for, too

How = Literal["as it is", "compressed", "in chunks", "in a record", "in a page within a record"]


@dataclass(frozen=True, order=True)
class Place:
    """Where something of a subject lies. ``page``: of 8 KB, from the beginning of the relation or file."""

    name: str
    page: int
    how: How


@dataclass
class Residue:
    """What a scan saw: whom it found where, what may be a part of another number, and what it could not read."""

    digests: bool = True
    files: int = 0
    size: int = 0  # bytes read, as plain
    found: dict[int, Counter[Place]] = field(default_factory=dict)
    doubtful: dict[int, Counter[Place]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    systems: set[int] = field(default_factory=set)  # identifiers of the clusters whose files these are
    unnamed: int = 0  # hits at places beyond MOST_PLACES
    _named: int = 0

    @property
    def clean(self) -> bool:
        """Whether everything was read and nobody found."""
        return not (self.found or self.doubtful or self.unread)

    def places(self, *subjects: int) -> dict[str, int]:
        """In how many places of each file subjects are found (all of them, if none is given)."""
        of = [self.found[s] for s in subjects if s in self.found] if subjects else list(self.found.values())
        return dict(Counter(place.name for places in of for place in places))

    def note(self, hit: Hit, place: Place) -> None:
        places = (self.found if hit.sure else self.doubtful).setdefault(hit.subject, Counter())
        if place in places or self._named < MOST_PLACES:
            self._named += hit.sure and place not in places
            places[place] += 1
        else:
            self.unnamed += 1


def scan(
    sought: Mapping[int, Values], things: Iterable[Source | Unread], names: Mapping[str, str] | None = None
) -> Residue:
    """Look through files for the values of many subjects.

    ``sought``: whose values, by a number that means nothing outside. ``things``: from :func:`files.sources`.
    ``names``: what a relation's file (``base/5/16385``) is called; others go by their files. Digests of values are
    looked for among few subjects only: they would be most of the work, and ``digests`` of the residue says whether.
    """
    every = [value for values in sought.values() for value in values.found]
    digests = sum(values.of_somebody for values in sought.values()) <= FEW
    residue = look_through(Search(needles(sought, digests=digests), Net(every)), things, names)
    residue.digests = digests
    return residue


def look_through(
    search: Search, things: Iterable[Source | Unread], names: Mapping[str, str] | None = None
) -> Residue:
    """:func:`scan` with a search that was prepared before."""
    residue = Residue()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        ahead = _Ahead(pool)
        for thing in things:
            if isinstance(thing, Unread):
                residue.unread.append(thing)
                continue
            name = (names or {}).get(thing.name, thing.name)
            _Pass(residue, search, ahead, name).over(thing)
    return residue


@dataclass
class _Pass:
    """One source, looked through."""

    residue: Residue
    search: Search
    ahead: _Ahead
    name: str

    def over(self, source: Source) -> None:
        match source.kind:
            case Kind.RELATION:
                self._relation(source)
            case Kind.WAL:
                self._wal(source)
            case Kind.OTHER:
                for part in source.parts:
                    for at, window in self._windows(part, 0):
                        if at == 0 and CONTROL.fullmatch(part.name) and len(window) >= 8:
                            self.residue.systems.add(int.from_bytes(window[:8], "little"))

    def _relation(self, source: Source) -> None:
        chunks = Chunks()
        begins: list[tuple[int, Part]] = []
        at = 0
        for part in source.parts:
            begins.append((at, part))
            end = at
            for at_window, window in self._windows(part, at):
                whole = window[: len(window) // PAGE * PAGE]
                for offset, said in compressed(whole):
                    self._note(said, at_window + offset, "compressed")
                chunks.look(whole, at_window)
                end = at_window + len(window)
            at = end
        try:
            with _Reader(begins) as reader:
                for position, said in chunks.values(reader.read):
                    self._note(said, position, "in chunks")
        except FileNotFoundError:  # a live cluster drops files
            return
        except OSError as error:
            self.residue.unread.append(Unread(source.name, f"it cannot be read ({error.strerror})"))

    def _wal(self, source: Source) -> None:
        stream = Stream()
        carried, carried_to = b"", -1
        for piece, at, name in self._pieces(stream, source):
            how: How = "in a page within a record" if piece.page else "in a record"
            for _, said in compressed(piece.text, anywhere=not piece.page):
                self._note(said, at, how, name)
            if piece.page:
                self._note(piece.text, at, how, name)
                continue
            before = carried if carried_to == piece.position else b""
            self._note(before + piece.text, at, how, name)
            carried, carried_to = piece.text[-MARGIN:], piece.position + len(piece.text)
        self.residue.systems |= stream.systems
        if stream.unread.pages:
            self.residue.unread.append(
                Unread(
                    source.name, f"{stream.unread.pages} pages of WAL are of a version that is not read here"
                )
            )
        if stream.unread.records:
            self.residue.unread.append(
                Unread(
                    source.name, f"{stream.unread.records} records of WAL have a form that is not read here"
                )
            )
        if stream.unread.images:
            self.residue.unread.append(
                Unread(source.name, f"{stream.unread.images} pages within WAL records do not decompress")
            )

    def _pieces(self, stream: Stream, source: Source) -> Iterator[tuple[Piece, int, str]]:
        """What the segments say, with the position in its file and the file in which it ended."""
        for part in source.parts:
            for at, window in self._windows(part, 0, search=False):
                pages = (bytes(window[n : n + PAGE]).ljust(PAGE, b"\0") for n in range(0, len(window), PAGE))
                for piece in stream.feed(pages):
                    yield piece, at, part.name
        for piece in stream.end():
            yield piece, 0, source.parts[-1].name

    def _windows(self, part: Part, base: int, *, search: bool = True) -> Iterator[tuple[int, memoryview]]:
        """Each window of a file with its position, searched as it is; valid until the next one is asked for."""
        self.residue.files += 1
        try:
            with part.open() as file:
                for at, before, window in self.ahead.windows(file):
                    self.residue.size += len(window) - before
                    if search:
                        self._note(window, base + at - before, "as it is")
                    yield base + at, window[before:]
        except FileNotFoundError:  # a live cluster drops files
            return
        except Sealed as error:
            self.residue.unread.append(Unread(part.name, str(error)))
        except OSError as error:
            self.residue.unread.append(Unread(part.name, f"it cannot be read ({error.strerror})"))

    def _note(self, text: Bytes, at: int, how: How, name: str | None = None) -> None:
        # What lies in a page has its page's number; what a value says has that of the value.
        for hit in self.search.hits(memoryview(text)):
            page = (at + hit.at if how == "as it is" else at) // PAGE
            self.residue.note(hit, Place(name or self.name, page, how))


class _Ahead:
    """Reads files window by window; while one window is looked at, the next is read."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._buffers = [bytearray(MARGIN + WINDOW) for _ in range(2)]

    def windows(self, file: IO[bytes]) -> Iterator[tuple[int, int, memoryview]]:
        """Position, how many bytes of the window before stand in front, those and the window."""
        at, before, turn = 0, 0, 0
        size = _fill(file, self._buffers[0])
        while size:
            now, following = self._buffers[turn], self._buffers[1 - turn]
            later = self._pool.submit(_fill, file, following) if size == WINDOW else None
            try:
                yield at, before, memoryview(now)[MARGIN - before : MARGIN + size]
            finally:
                following_size = later.result() if later else 0
            before = min(MARGIN, size)
            following[MARGIN - before : MARGIN] = now[MARGIN + size - before : MARGIN + size]
            at, size, turn = at + size, following_size, 1 - turn


def _fill(file: IO[bytes], buffer: bytearray) -> int:
    view, size = memoryview(buffer)[MARGIN:], 0
    while size < WINDOW and (read := file.readinto(view[size:])):  # type: ignore[attr-defined]
        size += read
    return size


class _Reader:
    """Reads a relation by position, over its segments, one of which is open at a time."""

    def __init__(self, begins: list[tuple[int, Part]]) -> None:
        self._begins = begins
        self._open: tuple[int, IO[bytes]] | None = None

    def read(self, at: int, size: int) -> bytes:
        no = max(n for n, (begin, _) in enumerate(self._begins) if begin <= at)
        begin, part = self._begins[no]
        if self._open is None or self._open[0] != no:
            self.__exit__()
            self._open = (no, part.open())
        self._open[1].seek(at - begin)
        return self._open[1].read(size)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[1].close()
        self._open = None
