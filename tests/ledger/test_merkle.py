"""The tree is that of RFC 6962: its well-known vectors, a literal transcription of its definitions
as the oracle, and forged proofs that must not hold."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ledger import merkle

# The eight leaves and roots that Certificate Transparency implementations share.
LEAVES = [
    bytes.fromhex(h)
    for h in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (leaf, tree size) -> audit path; (old size, new size) -> consistency proof.
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
READ = merkle.memory_reader(HASHES)


def mth(d: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, transcribed."""
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = 1
    while k * 2 < len(d):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def fake(n: int) -> list[bytes]:
    return [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(n)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_well_known_ones(size: int) -> None:
    assert merkle.root(size, READ).hex() == ROOTS[size - 1]
    assert merkle.root_of(HASHES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert merkle.root_of([]) == merkle.EMPTY_ROOT == mth([])


@pytest.mark.parametrize(("leaf", "size"), PATHS)
def test_audit_paths_are_the_well_known_ones(leaf: int, size: int) -> None:
    assert [h.hex() for h in merkle.inclusion_proof(leaf, size, READ)] == PATHS[leaf, size]


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_the_well_known_ones(old: int, new: int) -> None:
    assert [h.hex() for h in merkle.consistency_proof(old, new, READ)] == CONSISTENCY[old, new]


def test_every_proof_of_every_small_tree_holds_and_no_other_leaf_or_root_does() -> None:
    hashes = fake(34)
    read = merkle.memory_reader(hashes)
    for size in range(1, 35):
        top = merkle.root(size, read)
        assert top == mth(hashes[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, read)
            assert merkle.inclusion_holds(hashes[index], index, size, proof, top)
            assert not merkle.inclusion_holds(hashes[index - 1], index, size, proof, top) or size == 1
            for other in range(size):
                assert other == index or not merkle.inclusion_holds(hashes[index], other, size, proof, top)
        for old in range(size + 1):
            proof = merkle.consistency_proof(old, size, read)
            assert merkle.consistency_holds(old, size, mth(hashes[:old]), top, proof)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_growing_in_any_batches_makes_the_same_nodes(batches: list[int]) -> None:
    hashes = fake(sum(batches))
    nodes: dict[tuple[int, int], bytes] = {}
    asked = 0

    def read(level: int, index: int) -> bytes:
        nonlocal asked
        asked += 1
        return nodes[level, index]

    size = 0
    for batch in batches:
        asked = 0
        made = merkle.grow(size, hashes[size : size + batch], read)
        assert asked <= size.bit_length()
        for i in range(batch):
            nodes[0, size + i] = hashes[size + i]
        for level, index, node in made:
            assert (level, index) not in nodes
            nodes[level, index] = node
        size += batch
    assert merkle.root(size, lambda level, index: nodes[level, index]) == mth(hashes)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_changed_proof_never_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 200))
    hashes = fake(size)
    read = merkle.memory_reader(hashes)
    index = data.draw(st.integers(0, size - 1))
    top = merkle.root(size, read)
    proof = merkle.inclusion_proof(index, size, read)
    assert len(proof) <= (size - 1).bit_length()
    at = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    bent = list(proof)
    bent[at] = (int.from_bytes(bent[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    assert not merkle.inclusion_holds(hashes[index], index, size, bent, top)
    assert not merkle.inclusion_holds(hashes[index], index, size, proof[:-1], top)
    assert not merkle.inclusion_holds(hashes[index], index, size, [*proof, top], top)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_rewritten_past_is_never_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 120))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    honest = fake(new)
    rewritten = list(honest)
    rewritten[changed] = merkle.leaf_hash(b"another past")
    proof = merkle.consistency_proof(old, new, merkle.memory_reader(rewritten))
    old_root, new_root = mth(honest[:old]), mth(rewritten)
    assert not merkle.consistency_holds(old, new, old_root, new_root, proof)
    honest_proof = merkle.consistency_proof(old, new, merkle.memory_reader(honest))
    assert not merkle.consistency_holds(old, new, old_root, new_root, honest_proof)
    assert not merkle.consistency_holds(new, old, new_root, old_root, honest_proof)
    for cut in range(len(honest_proof)):
        short = honest_proof[:cut] + honest_proof[cut + 1 :]
        assert not merkle.consistency_holds(old, new, old_root, mth(honest), short)


def test_a_leaf_outside_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="no leaf 8"):
        merkle.inclusion_proof(8, 8, READ)
    with pytest.raises(ValueError, match="cannot extend"):
        merkle.consistency_proof(9, 8, READ)
    assert not merkle.inclusion_holds(HASHES[0], -1, 8, [], bytes(32))
    assert not merkle.consistency_holds(1, 2, HASHES[0], bytes(32), [])
