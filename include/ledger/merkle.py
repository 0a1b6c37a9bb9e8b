"""Merkle tree mathematics of RFC 6962 section 2.1; verification as in RFC 9162 section 2.1.

Nothing here stores anything. A tree is seen through a :data:`NodeReader`, which returns the hash of
the perfect subtree ``(level, index)``: the one over leaves ``[index << level, (index + 1) << level)``.
Level 0 are the leaf hashes. Such a node never changes once its leaves are there, so storage can be
insert-only. All hashes are SHA-256, 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

NodeReader = Callable[[int, int], bytes]
Position = tuple[int, int]  # (level, index)
Range = tuple[int, int]  # leaves [start, end)

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry. The 0x00 keeps a leaf from being mistaken for an inner node."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# --- which nodes a computation needs --------------------------------------------------------


def perfect_subtrees(leaves: Range) -> Iterator[Position]:
    """The perfect subtrees that make up a subtree of the RFC's recursion, from left to right.

    ``start`` is a multiple of the subtree's size rounded up to a power of two, as in every range
    that the RFC's splitting produces; so taking the largest power of two each time is right.
    """
    start, end = leaves
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The siblings on the way from leaf ``index`` to the root of ``size`` leaves, leaf side first.

    Raises ValueError if there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    path: list[Range] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The subtrees of the proof that the tree of ``new`` leaves extends the tree of ``old``.

    RFC 6962 section 2.1.2, PROOF(m, D[n]). Raises ValueError unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot extend one of {old}")
    if old in (0, new):
        return []
    start, end = 0, new
    whole = True  # the old tree's root is still the subtree that we look at: the verifier has it
    path: list[Range] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
            whole = False
    if not whole:
        path.append((start, end))
    return path[::-1]


def positions(ranges: Iterable[Range]) -> list[Position]:
    """Every stored node that these ranges need, for reading them in one go."""
    return [position for leaves in ranges for position in perfect_subtrees(leaves)]


# --- computing --------------------------------------------------------------------------------


def range_hash(leaves: Range, read: NodeReader) -> bytes:
    """MTH(D[start:end]) for a range of the RFC's recursion, in O(log n) reads."""
    result: bytes | None = None
    for level, index in reversed(list(perfect_subtrees(leaves))):
        node = read(level, index)
        result = node if result is None else node_hash(node, result)
    return EMPTY_ROOT if result is None else result


def root(size: int, read: NodeReader) -> bytes:
    """The root of the first ``size`` leaves."""
    return range_hash((0, size), read)


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves."""
    return [range_hash(leaves, read) for leaves in inclusion_ranges(index, size)]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """The proof that the first ``old`` of ``new`` leaves are what they were."""
    return [range_hash(leaves, read) for leaves in consistency_ranges(old, new)]


def grow(size: int, leaf_hashes: Sequence[bytes], read: NodeReader) -> list[tuple[int, int, bytes]]:
    """The inner nodes (level >= 1) that become complete when leaves are appended to ``size`` leaves.

    ``read`` is asked only for the perfect subtrees of the first ``size`` leaves: O(log size).
    Returns (level, index, hash), lower levels first.
    """
    made: list[tuple[int, int, bytes]] = []
    level, start, row = 0, size, list(leaf_hashes)
    while row:
        if start % 2:  # the first new node is a right child: its left sibling is stored already
            start -= 1
            row.insert(0, read(level, start))
        parents = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        level, start = level + 1, start // 2
        made += [(level, start + i, parent) for i, parent in enumerate(parents)]
        row = parents
    return made


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of a tree that is all in memory."""
    return root(len(leaf_hashes), memory_reader(leaf_hashes))


def memory_reader(leaf_hashes: Sequence[bytes]) -> NodeReader:
    """A reader over a tree in memory, for small trees."""
    nodes = {(0, i): leaf for i, leaf in enumerate(leaf_hashes)}
    nodes |= {(level, i): node for level, i, node in grow(0, leaf_hashes, lambda *_: b"")}

    def read(level: int, index: int) -> bytes:
        return nodes[level, index]

    return read


# --- verifying --------------------------------------------------------------------------------


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2: is the leaf with this hash at ``index`` under ``root``?"""
    if not 0 <= index < size:
        return False
    here, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            result = node_hash(sibling, result)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and result == root


def consistency_holds(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2: does the tree of ``new`` leaves extend the tree of ``old``?

    Every tree extends the empty one, whose root is fixed.
    """
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:  # the old root is itself a node of the new tree
        path.insert(0, old_root)
    if not path:
        return False
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old_result = new_result = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old_result, new_result = node_hash(sibling, old_result), node_hash(sibling, new_result)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new_result = node_hash(new_result, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and old_result == old_root and new_result == new_root
