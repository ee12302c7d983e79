"""An Einsum of one or two tensors as sums, transpositions and one product of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_uppercase
from typing import Protocol

import numpy as np
from onnx import NodeProto


class Writer(Protocol):
    """Takes the nodes that replace another one."""

    shapes: dict[str, tuple[int, ...]]
    constants: dict[str, np.ndarray]

    def node(self, kind: str, inputs: Sequence[str], of: NodeProto, part: str, **attributes: object) -> str:
        """Add a node; returns its output."""

    def constant(self, values: np.ndarray, of: NodeProto, part: str) -> str:
        """Add a constant; returns its name."""

    def reduced(self, kind: str, x: str, of: NodeProto, part: str, axes: Sequence[int], keep: int) -> str:
        """Add a reduction; returns its output."""


@dataclass(frozen=True)
class Term:
    """A tensor of an Einsum: a letter for each axis."""

    name: str
    letters: str
    part: str
    """What nodes made of it are called after."""


def terms_of(node: NodeProto, ranks: Sequence[int]) -> tuple[list[str], str] | None:
    """The letters of each input and of the output, an ellipsis written out; None if they fit no such tensors.

    >>> from onnx import helper
    >>> terms_of(helper.make_node("Einsum", ["a", "b"], ["y"], equation="...ij,...jk->...ik"), [3, 3])
    (['Aij', 'Ajk'], 'Aik')
    """
    text = next(entry.s.decode(errors="replace") for entry in node.attribute if entry.name == "equation")
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        return None
    if not arrow:  # letters that occur once, in the order of the alphabet
        joined = left.replace(",", "").replace(".", "")
        right = ("..." if "." in left else "") + "".join(c for c in sorted(set(joined)) if joined.count(c) == 1)
    free = [letter for letter in ascii_uppercase if letter not in text]
    wide = max((rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term), default=0)
    if not 0 <= wide <= len(free):
        return None
    spare = "".join(free[:wide])
    terms = [
        term.replace("...", spare[max(wide - (rank - len(term) + 3), 0) :])
        for term, rank in zip(terms, ranks, strict=True)
    ]
    right = right.replace("...", spare)
    fits = all(len(term) == rank == len(set(term)) for term, rank in zip(terms, ranks, strict=True))
    known = set("".join(terms))
    return (terms, right) if fits and set(right) <= known and len(set(right)) == len(right) else None


def matrix_product(node: NodeProto, made: Writer) -> bool:
    """Add what an Einsum does with such nodes; False if it is another kind, or moves the batch."""
    shapes = [made.shapes.get(name, ()) for name in node.input]
    found = terms_of(node, [len(shape) for shape in shapes]) if all(shapes) and len(shapes) <= 2 else None
    sizes = _sizes(node, *found, shapes, made) if found else None
    if found is None or sizes is None:
        return False
    terms, out = found
    if len(terms) == 1 and "".join(letter for letter in terms[0] if letter in out) == out != terms[0]:
        made.reduced("ReduceSum", node.input[0], node, "", [terms[0].index(c) for c in terms[0] if c not in out], 0)
        return True
    tensors = [
        _alone(Term(name, term, part), "".join(terms[:place] + terms[place + 1 :]) + out, node, made)
        for place, (name, term, part) in enumerate(zip(node.input, terms, ("a", "b"), strict=False))
    ]
    if len(tensors) == 1:
        return _last(tensors[0], out, node, made)
    a, b = tensors
    if a.name in made.constants:
        a, b = b, a
    if set(a.letters) & set(b.letters) <= set(out):
        return _element_wise(a, b, out, node, made)
    return _multiplied(a, b, out, sizes, node, made)


def _sizes(
    node: NodeProto, terms: Sequence[str], out: str, shapes: Sequence[tuple[int, ...]], made: Writer
) -> dict[str, int] | None:
    """The size of each letter; None if one has two, or if the first axis, that of the images, does not stay first."""
    activations = [term for name, term in zip(node.input, terms, strict=True) if name not in made.constants]
    if not out or not activations or any(term[0] != out[0] for term in activations):
        return None
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                return None
    known = all(size > 0 for letter, size in sizes.items() if letter != out[0])
    shared = all(out[0] not in term for name, term in zip(node.input, terms, strict=True) if name in made.constants)
    return sizes if known and shared else None


def _alone(term: Term, others: str, node: NodeProto, made: Writer) -> Term:
    """Without the letters that occur nowhere else, which are summed over."""
    lost = [letter for letter in term.letters if letter not in others]
    if not lost:
        return term
    kept = "".join(letter for letter in term.letters if letter in others)
    axes = [term.letters.index(letter) for letter in lost]
    if term.name in made.constants:
        values = made.constants[term.name].sum(tuple(axes))
        return Term(made.constant(values, node, f"{term.part}_summed"), kept, term.part)
    return Term(made.reduced("ReduceSum", term.name, node, f"{term.part}_summed", axes, 0), kept, term.part)


def _ordered(term: Term, letters: str, node: NodeProto, made: Writer) -> Term:
    """With its axes in that order."""
    if term.letters == letters:
        return term
    order = [term.letters.index(letter) for letter in letters]
    if term.name in made.constants:
        values = np.ascontiguousarray(made.constants[term.name].transpose(order))
        return Term(made.constant(values, node, f"{term.part}_turned"), letters, term.part)
    return Term(made.node("Transpose", [term.name], node, f"{term.part}_turned", perm=order), letters, term.part)


def _last(term: Term, out: str, node: NodeProto, made: Writer) -> bool:
    order = [term.letters.index(letter) for letter in out]
    if order == list(range(len(order))):
        made.node("Identity", [term.name], node, "")
    else:
        made.node("Transpose", [term.name], node, "", perm=order)
    return True


def _element_wise(a: Term, b: Term, out: str, node: NodeProto, made: Writer) -> bool:
    """Nothing is summed over: each is repeated along the axes that it lacks."""
    names = []
    for term in (a, b):
        turned = _ordered(term, "".join(letter for letter in out if letter in term.letters), node, made)
        axes = [axis for axis, letter in enumerate(out) if letter not in term.letters]
        if axes and turned.name in made.constants:
            wide = made.constant(np.expand_dims(made.constants[turned.name], axes), node, f"{term.part}_wide")
        elif axes:
            at = made.constant(np.array(axes, np.int64), node, f"{term.part}_axes")
            wide = made.node("Unsqueeze", [turned.name, at], node, f"{term.part}_wide")
        names.append(wide if axes else turned.name)
    made.node("Mul", names, node, "")
    return True


def _multiplied(a: Term, b: Term, out: str, sizes: dict[str, int], node: NodeProto, made: Writer) -> bool:
    """(common…, rows, depth) times (common…, depth, columns), with axes merged that are several."""
    fixed = b.name in made.constants
    common = "".join(letter for letter in out if letter in a.letters and letter in b.letters)
    rows = "".join(letter for letter in out if letter in a.letters and letter not in b.letters)
    columns = "".join(letter for letter in out if letter in b.letters and letter not in a.letters)
    depth = "".join(letter for letter in a.letters if letter in b.letters and letter not in out)
    if fixed and common:  # matrices of weights: none of them is one that all images share
        return False
    if fixed:  # any number of rows, each one matrix product
        first = _merged(_ordered(a, rows + depth, node, made), [*rows, depth], sizes, node, made)
        second = _merged(_ordered(b, depth + columns, node, made), [depth, columns], sizes, node, made)
    else:
        first = _merged(_ordered(a, common + rows + depth, node, made), [*common, rows, depth], sizes, node, made)
        second = _merged(
            _ordered(b, common + depth + columns, node, made), [*common, depth, columns], sizes, node, made
        )
    made_of = common + rows + columns
    split = [*common, *rows, *columns]
    whole = len(columns) == 1 and (fixed or len(rows) == 1)
    product = made.node("MatMul", [first, second], node, "" if whole and made_of == out else "product")
    if not whole:
        shape = made.constant(np.array([0, *(sizes[letter] for letter in split[1:])], np.int64), node, "shape")
        product = made.node("Reshape", [product, shape], node, "" if made_of == out else "split")
    if made_of != out:
        made.node("Transpose", [product], node, "", perm=[made_of.index(letter) for letter in out])
    return True


def _merged(term: Term, axes: Sequence[str], sizes: dict[str, int], node: NodeProto, made: Writer) -> str:
    """With one axis for each group of letters, one of a single element for an empty group; the batch is the first."""
    if [*term.letters] == list(axes):
        return term.name
    shape = [prod(sizes[letter] for letter in group) for group in axes]
    if term.name in made.constants:
        return made.constant(made.constants[term.name].reshape(shape), node, f"{term.part}_matrix")
    target = made.constant(np.array([0, *shape[1:]], np.int64), node, f"{term.part}_shape")
    return made.node("Reshape", [term.name, target], node, f"{term.part}_matrix")
