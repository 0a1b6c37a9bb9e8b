"""The parts of the residue scan by themselves: compressions, forms of values, borders of windows, longer numbers."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.proofs.residue import pglz, scan
from include.proofs.residue.files import Part, Source, sources
from include.proofs.residue.needles import needles, numeric
from include.proofs.residue.pages import PAGE, compressed
from include.proofs.residue.search import MARGIN, Search
from include.proofs.residue.toast import Chunks
from include.proofs.residue.wal import Stream
from include.proofs.values import Net, Values

PHONE, DOCUMENT, NAME, STREET = "13912345678", "E12345678", "欧阳测试", "测试市样例路九十九号"

# --- compressions -----------------------------------------------------------------------------------

Step = bytes | tuple[int, int]
"""A literal byte, or how far back and how much to repeat."""


@st.composite
def streams(draw: st.DrawFn) -> list[Step]:
    """What a compressor may write: literals first, then either."""
    steps: list[Step] = [draw(st.binary(min_size=1, max_size=1))]
    size = 1
    for _ in range(draw(st.integers(0, 60))):
        if draw(st.booleans()):
            steps.append(draw(st.binary(min_size=1, max_size=1)))
            size += 1
        else:
            length = draw(st.integers(3, 273))
            steps.append((draw(st.integers(1, min(size, 4095))), length))
            size += length
    return steps


def meant(steps: list[Step]) -> bytes:
    out = bytearray()
    for step in steps:
        if isinstance(step, bytes):
            out += step
        else:
            for _ in range(step[1]):
                out.append(out[-step[0]])
    return bytes(out)


def written(steps: list[Step]) -> bytes:
    out = bytearray()
    for begin in range(0, len(steps), 8):
        group = steps[begin : begin + 8]
        out.append(sum(1 << n for n, step in enumerate(group) if not isinstance(step, bytes)))
        for step in group:
            if isinstance(step, bytes):
                out += step
                continue
            back, length = step
            out += bytes([(back >> 4 & 0xF0) | min(length, 18) - 3, back & 0xFF])
            if length >= 18:
                out.append(length - 18)
    return bytes(out)


@given(streams())
def test_our_own_compression_is_undone(steps: list[Step]) -> None:
    said = meant(steps)
    assert pglz.decompressed(written(steps), len(said), pglz.PGLZ) == said


@given(streams(), st.integers(1, 400))
def test_a_cut_value_gives_its_beginning(steps: list[Step], cut: int) -> None:
    said = meant(steps)
    whole = written(steps)
    beginning = pglz.beginning(whole[:cut], len(said), pglz.PGLZ)
    assert beginning is not None and said.startswith(beginning)
    assert beginning == said or cut < len(whole)


@given(st.text("abcdef ", max_size=3000), st.integers(1, 3000))
def test_an_lz4_block_that_is_cut_gives_its_beginning(text: str, cut: int) -> None:
    said = text.encode()
    block = bytes(pa.Codec("lz4_raw").compress(said, asbytes=True))
    assert pglz.lz4(block, len(said)) == said
    beginning = pglz.beginning(block[:cut], len(said), pglz.LZ4)
    assert beginning is not None and said.startswith(beginning)


@given(st.binary(max_size=3 * PAGE))
def test_bytes_that_mean_nothing_are_no_error(noise: bytes) -> None:
    list(compressed(noise, anywhere=True))
    pages = noise.ljust((len(noise) // PAGE + 1) * PAGE, b"\0")
    list(compressed(pages))
    chunks = Chunks()
    chunks.look(pages, 0)
    list(chunks.values(lambda at, size: pages[at : at + size]))
    stream = Stream()
    magic = struct.pack("<HHIQI", 0xD118, 1, 1, 0, 40)
    list(stream.feed([magic + pages[len(magic) : PAGE], pages[:PAGE]]))
    list(stream.end())


# --- forms of values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        (13912345678, [139, 1234, 5678]),
        (110101199001011234, [11, 101, 1990, 101, 1234]),
        (123400000000, [1234]),
    ],
)
def test_a_number_as_the_server_writes_it(number: int, digits: list[int]) -> None:
    """The last has so many zeros at its end, which are not written, that two bytes are all there is of it."""
    header = 0x8000 | (len(str(number)) - 1) // 4
    text = struct.pack(f"<H{len(digits)}H", header, *digits)
    assert numeric(number) == (text if len(digits) > 2 else None)


def searching(values: Values) -> Search:
    return Search(needles({1: values}), Net(values.found))


@pytest.mark.parametrize(
    "text",
    [
        PHONE.encode(), b"+86" + PHONE.encode(), b"139-1234-5678", int(PHONE).to_bytes(8, "little"),
        struct.pack("<HHHH", 0x8002, 139, 1234, 5678), b"x MTM5MTIzNDU2Nzg= y",
    ],
)  # fmt: skip
def test_every_form_of_a_phone_is_found(text: bytes) -> None:
    (hit,) = {h.subject for h in searching(Values(frozenset({PHONE}))).hits(b"\0\x07" + text + b"\0")}
    assert hit == 1


def test_a_uuid_is_found_as_its_bytes() -> None:
    uuid = "f47ac10b-58cc-4372-8567-0e02b2c3d479"
    found = searching(Values(frozenset({uuid})))
    assert list(found.hits(b"\0" * 9 + UUID(uuid).bytes)) and list(found.hits(uuid.upper().encode()))


@pytest.mark.parametrize(
    ("around", "sure"),
    [
        (b"\x19%b\x05", True),  # a column of its own: 11 bytes and the header
        (b"3%b\x00", False),  # a digit before it that is no length
        (b"\x00%b44\x00", False),  # digits after it
        (b"\x19%b4\x00", True),  # the next column begins with what looks like a digit
        (b"\x003%b, called\x00 twice", False),  # 3 would be the length of a text of 24 bytes, which is none
        (b"\x003%b, called twice", True),  # … and here is one
        (b"\x19x%b", True),
        (b"\x1bx%b7", True),  # a text that begins before the value and ends with it, by its length
        (b"L\x00\x00\x00abcd%b7", True),  # the same with a length of four bytes
    ],
)  # fmt: skip
def test_a_part_of_a_longer_number_is_a_doubt(around: bytes, sure: bool) -> None:
    hits = list(searching(Values(frozenset({PHONE}))).hits(around % PHONE.encode()))
    assert [h.sure for h in hits] == [sure]


@pytest.mark.parametrize("subjects", [scan.FEW, scan.FEW + 1])
def test_digests_are_sought_of_few(tmp_path: Path, subjects: int) -> None:
    (tmp_path / "digest").write_bytes(hashlib.sha256(PHONE.encode()).hexdigest().encode())
    (tmp_path / "raw").write_bytes(hashlib.md5(DOCUMENT.encode(), usedforsecurity=False).digest())
    people = {n: Values(frozenset({f"K{n:08}"})) for n in range(subjects - 1)}
    residue = scan.scan(people | {-1: Values(frozenset({PHONE, DOCUMENT}))}, sources(tmp_path))
    assert residue.digests is (subjects == scan.FEW)
    assert set(residue.places(-1)) == ({"digest", "raw"} if residue.digests else set())


def test_a_name_counts_beside_another_value_without_a_form() -> None:
    search = searching(Values(weak=frozenset({NAME, STREET})))
    name, street = NAME.encode(), STREET.encode()
    assert not list(search.hits(name + b"\0" * 30 + name))
    assert list(search.hits(name + b"\0" * 30 + street))
    assert not list(search.hits(name + b"\0" * 1000 + street))


# --- windows ------------------------------------------------------------------------------------------


@given(st.data())
def test_a_value_is_found_wherever_windows_meet(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    window = 4 * PAGE
    size = data.draw(st.integers(1, 3 * window), label="size")
    near = st.integers(-len(PHONE), MARGIN).map(lambda n: max(0, window * data.draw(st.integers(0, 2)) + n))
    at = data.draw(near, label="at")
    path = tmp_path_factory.mktemp("window") / "file"
    path.write_bytes((b"\xff" * at + PHONE.encode()).ljust(size, b"\xff"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "WINDOW", window)
        residue = scan.scan({1: Values(frozenset({PHONE}))}, sources(path))
    assert list(residue.found[1]) == [scan.Place("file", at // PAGE, "as it is")]
    assert residue.size == path.stat().st_size


def test_many_subjects_are_told_apart(tmp_path: Path) -> None:
    people = {n: Values(frozenset({f"139{n:08}", f"E{n:08}"})) for n in range(2_000)}
    (tmp_path / "some").write_bytes(b"\0".join(f"139{n:08}".encode() for n in range(0, 2_000, 7)))
    residue = scan.scan(people, sources(tmp_path))
    assert set(residue.found) == set(range(0, 2_000, 7)) and not residue.doubtful


def test_places_beyond_so_many_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_PLACES", 3)
    for n in range(5):
        (tmp_path / f"{n}").write_bytes(PHONE.encode())
    residue = scan.scan({1: Values(frozenset({PHONE}))}, sources(tmp_path))
    assert len(residue.found[1]) == 3 and residue.unnamed == 2 and not residue.clean


def test_a_file_that_goes_while_it_is_read_is_no_error(tmp_path: Path) -> None:
    def gone() -> object:
        raise FileNotFoundError

    residue = scan.scan({}, [Source("1", scan.Kind.OTHER, (Part("1", gone),))])  # type: ignore[arg-type]
    assert residue.clean and Counter(residue.places()) == Counter()


def test_a_relation_that_goes_before_its_chunks_are_put_together_is_no_error(tmp_path: Path) -> None:
    class Once:
        """It opens once, as a file that a live cluster drops meanwhile."""

        def __init__(self, path: Path) -> None:
            self.path = path

        def __call__(self) -> object:
            file = self.path.open("rb")
            self.path.unlink()
            return file

    # A chunk's row, as in every TOAST table: three attributes, data at 24, a value of 4 bytes.
    row = bytearray(PAGE)
    struct.pack_into("<HHB", row, 18, 3, 0x0002, 24)
    struct.pack_into("<III", row, 24, 7, 0, 8 << 2)
    (tmp_path / "16385").write_bytes(row)
    source = Source("base/5/16385", scan.Kind.RELATION, (Part("base/5/16385", Once(tmp_path / "16385")),))  # type: ignore[arg-type]
    assert scan.scan({1: Values(frozenset({PHONE}))}, [source]).clean


def test_a_record_of_another_form_leaves_it_unverified(tmp_path: Path) -> None:
    """A page in it would not have been seen."""
    record = struct.pack("<IIQBBxxI", 32, 1, 0, 0, 0, 0) + b"\xc8" * 8  # 200 is no kind of header
    page = struct.pack("<HHIQIxxxx", 0xD118, 0, 1, 0, 0) + record
    (tmp_path / "000000010000000000000000").write_bytes(page.ljust(PAGE, b"\0"))
    residue = scan.scan({1: Values(frozenset({PHONE}))}, sources(tmp_path))
    assert not residue.found and not residue.clean
    assert [u.why for u in residue.unread] == ["1 records of WAL have a form that is not read here"]
