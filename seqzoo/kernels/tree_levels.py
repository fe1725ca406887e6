"""The order in which the nodes of trees are computed: level by level, from the leaves or from the roots.

Nodes are numbers from 0, and trees are the parents of all nodes, -1 at roots.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

Array = numpy.ndarray


class Order(NamedTuple):
    """Nodes sorted by level.

    Attributes:
        nodes: sorted.
        position: of each node among them.
        counts: the number of nodes of each level.
        begins: the position of the first node of each level.
    """

    nodes: Array
    position: Array
    counts: list[int]
    begins: Array

    @classmethod
    def by(cls, level: Array, *ties: Array) -> Order:
        """Sorted by level, then by `ties`, then as they were."""
        nodes = numpy.lexsort((*reversed(ties), level))
        counts = numpy.bincount(level)
        position = numpy.empty_like(nodes)
        position[nodes] = numpy.arange(len(nodes))
        return cls(nodes, position, counts.tolist(), counts.cumsum() - counts)


class Level(NamedTuple):
    """The nodes of one height. Their children arrive in pieces, one from each lower level that has some of them.

    Attributes:
        node: (C,), the node of each child, counted in this level.
        place: (C,), the place of each child among those of its node.
        each: the number of children of every node; None: it differs.
        order: (C,), puts the children that arrive in the order of `node`; None: they are in order.
        sizes: the nodes of this level are cut into pieces of these sizes, which go to the levels `destinations`.
        destinations: the one after the last level is that of the roots.
    """

    node: Any
    place: Any
    each: int | None
    order: Any
    sizes: list[int]
    destinations: list[int]


def depths(parent: Array) -> Array:
    """The number of nodes above each node."""
    ancestor = numpy.where(parent < 0, numpy.arange(len(parent)), parent)
    depth = (parent >= 0).astype(numpy.int64)
    while (further := depth[ancestor]).any():  # each time twice as far
        depth, ancestor = depth + further, ancestor[ancestor]
    return depth


def heights(parent: Array, depth: Array) -> Array:
    """The number of nodes on the longest way from each node down to a leaf."""
    height = numpy.zeros_like(depth)
    order = Order.by(depth)
    for begin, count in zip(order.begins[:0:-1].tolist(), order.counts[:0:-1], strict=True):  # not the roots
        nodes = order.nodes[begin : begin + count]
        numpy.maximum.at(height, parent[nodes], height[nodes] + 1)
    return height


def levels_of(parent: Array, height: Array) -> tuple[Order, list[Level], Array]:
    """The levels from the leaves up.

    Returns:
        The order of the nodes, the levels, and the place of each root among the roots as they arrive.
    """
    top = int(height.max())
    destination = numpy.where(parent < 0, top + 1, height[parent])
    order = Order.by(height, destination)
    arrival = Order.by(destination, height)  # no node goes to level 0
    arrived = arrival.position - arrival.begins[destination]
    children = numpy.flatnonzero(parent >= 0)
    children = children[numpy.argsort(order.position[parent[children]], kind="stable")]
    node = places_of_parents(parent, height, order, children)
    numbers = numpy.bincount(order.position[parent[children]], minlength=len(parent))  # of children, by position
    place = numpy.arange(len(children)) - numpy.repeat(numbers.cumsum() - numbers, numbers)
    pieces = _pieces(height[order.nodes], destination[order.nodes], top)
    levels = []
    for number, (begin, count) in enumerate(zip(order.begins.tolist(), order.counts, strict=True)):
        cut = slice(0, 0)
        if number:
            start = int(arrival.begins[number])
            cut = slice(start, start + arrival.counts[number])
        of_level = numbers[begin : begin + count]
        each = int(of_level[0]) if of_level.min() == of_level.max() else None
        arriving = arrived[children[cut]]
        in_order = bool((arriving == numpy.arange(len(arriving))).all())
        levels.append(Level(node[cut], place[cut], each, None if in_order else arriving, *pieces[number]))
    return order, levels, arrived


def places_of_parents(parent: Array, level: Array, order: Order, children: Array | None = None) -> Array:
    """For each child in order, the place of its parent in the parent's level."""
    if children is None:
        children = order.nodes[order.counts[0] :]  # all but the roots
    above = parent[children]
    return order.position[above] - order.begins[level[above]]


def _pieces(level: Array, destination: Array, top: int) -> list[tuple[list[int], list[int]]]:
    """The sizes and destinations of the pieces of each level, of sorted nodes."""
    changes = (level[1:] != level[:-1]) | (destination[1:] != destination[:-1])
    starts = numpy.flatnonzero(numpy.concatenate([[True], changes]))
    sizes = numpy.diff(numpy.append(starts, len(level)))
    pieces: list[tuple[list[int], list[int]]] = [([], []) for _ in range(top + 1)]
    for number, size, target in zip(
        *(part.tolist() for part in (level[starts], sizes, destination[starts])), strict=True
    ):
        pieces[number][0].append(size)
        pieces[number][1].append(target)
    return pieces
