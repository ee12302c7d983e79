"""Check an ONNX model from outside: one pass over all of it, before anything reads its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from niwaki.errors import ModelError

MOST_NODES = 20_000
_MOST_FUNCTIONS = 500
_KNOWN_TYPES = frozenset(helper.get_all_tensor_dtypes()) - {TensorProto.UNDEFINED, TensorProto.STRING}
_PER_BYTE = {"INT4": 2, "UINT4": 2, "FLOAT4E2M1": 2, "INT2": 4, "UINT2": 4}  # elements per byte, for types under a byte


def put_in_order(model: ModelProto) -> None:
    """Check a model's nodes, constants and names, and sort its nodes, in place.

    Runtimes accept nodes in any order; the code after this check does not need to. Raises ModelError naming the node,
    tensor or value: for text that is not UTF-8, an operator set that does not exist, too many nodes, a cycle, an output
    that is missing or produced twice, and constants whose bytes, type and shape do not match.
    """
    _check_texts(model)
    _check_opset(model)
    _count_nodes(model)
    for graph in graphs_of(model):
        _check_outputs(graph)
        _sort(graph)
        for value in (*graph.input, *graph.output):
            _check_value(value)
    if not model.graph.output:
        raise ModelError("it has no output")
    for tensor in tensors_of(model):
        _check_tensor(tensor)


def label(node: NodeProto) -> str:
    """A node in an error: its operator and its name, or its first output's."""
    return f"{node.op_type or 'node'} {node.name or next(iter(node.output), '')!r}"


def graphs_of(model: ModelProto) -> Iterator[GraphProto]:
    """The graph and the graphs inside its nodes."""
    waiting = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while waiting or nodes:
        for attribute in nodes.pop().attribute if nodes else ():
            waiting.extend([*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs])
        if waiting:
            graph = waiting.pop()
            yield graph
            nodes.extend(graph.node)


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant of a model, including those of subgraphs and functions."""
    for graph in graphs_of(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            yield from _tensors_in(node)
    for function in model.functions:
        for node in function.node:
            yield from _tensors_in(node)


def _tensors_in(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
        for sparse in (*([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
                       *attribute.sparse_tensors):  # fmt: skip
            yield from (sparse.values, sparse.indices)


def _check_texts(model: ModelProto) -> None:
    """Check names: the parser returns bytes for a name that is not UTF-8, whatever the type says."""
    for text in _texts(model):
        if isinstance(text, bytes):
            raise ModelError(f"the name {text[:60]!r} is not UTF-8")
    for entry in model.metadata_props:
        try:
            entry.value.encode()
        except (UnicodeEncodeError, AttributeError) as error:
            raise ModelError(f"metadata {entry.key!r}: not UTF-8") from error


def _texts(model: ModelProto) -> Iterator[object]:
    yield from (model.producer_name, model.domain, *(entry.domain for entry in model.opset_import))
    for entry in model.metadata_props:
        yield entry.key
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output, *function.attribute)
        yield from _texts_of(function.node)
    for graph in graphs_of(model):
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
        for tensor in graph.initializer:
            yield tensor.name
            yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
        yield graph.name
        yield from _texts_of(graph.node)


def _texts_of(nodes: Iterable[NodeProto]) -> Iterator[object]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (entry.name for entry in node.attribute)


def _check_opset(model: ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and not 1 <= entry.version <= newest:
            raise ModelError(f"opset {entry.version}: expected 1 to {newest}: export the model with one of these")


def _count_nodes(model: ModelProto) -> None:
    """The number of nodes after expanding functions at every call."""
    sizes = _function_sizes(model)
    count = sum(sizes.get(_kind(node), 1) for graph in graphs_of(model) for node in graph.node)
    if count > MOST_NODES:
        raise ModelError(f"{count:,} nodes after expanding functions: up to {MOST_NODES:,} are supported")


def _function_sizes(model: ModelProto) -> dict[tuple[str, str], int]:
    """The number of nodes of each function, including those of the functions that it calls."""
    waiting = {(function.domain, function.name): function.node for function in model.functions}
    if len(waiting) > _MOST_FUNCTIONS:
        raise ModelError(f"{len(waiting):,} functions: up to {_MOST_FUNCTIONS} are supported")
    sizes: dict[tuple[str, str], int] = {}
    while waiting:
        ready = [key for key, nodes in waiting.items() if not any(_kind(node) in waiting for node in nodes)]
        if not ready:
            raise ModelError(f"function {next(iter(waiting))[1]!r}: it calls itself")
        for key in ready:
            sizes[key] = sum(sizes.get(_kind(node), 1) for node in waiting.pop(key))
    return sizes


def _kind(node: NodeProto) -> tuple[str, str]:
    return node.domain, node.op_type


def _check_outputs(graph: GraphProto) -> None:
    for number, node in enumerate(graph.node, 1):
        if not any(node.output):
            called = label(node) if node.name else f"{node.op_type or 'node'}, node {number} of {len(graph.node)}"
            raise ModelError(f"{called}: it has no output")
    constants = {tensor.name for tensor in graph.initializer}
    made = Counter(name for node in graph.node for name in node.output if name)
    made.update(value.name for value in graph.input if value.name not in constants)
    made.update(constants)
    for name, times in made.items():
        if times > 1:
            makers = " and ".join(label(node) for node in graph.node if name in node.output)
            raise ModelError(f"{makers or 'constants'}: {name!r} is produced twice")


def _sort(graph: GraphProto) -> None:
    """Put nodes into an order in which they can run; a valid order is kept. Raises ModelError for a cycle."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{makers[name] for name in _read_by(node) if name in makers} for node in graph.node]
    if all(all(need < index for need in needed) for index, needed in enumerate(needs)):
        return
    order: list[int] = []
    state = [0] * len(needs)  # 1: started, 2: placed
    for first in range(len(needs)):
        stack = [first]
        while stack:
            index = stack[-1]
            waiting = [] if state[index] == 2 else [need for need in sorted(needs[index]) if state[need] != 2]
            if waiting and state[index] == 1:
                raise ModelError(f"{label(graph.node[index])}: it depends on its own output: a cycle")
            if waiting:
                state[index] = 1
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            if state[index] != 2:
                state[index] = 2
                order.append(index)
    nodes = [NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _read_by(node: NodeProto) -> set[str]:
    """What a node reads, including in graphs inside it."""
    names, waiting = set(node.input), [node]
    while waiting:
        for attribute in waiting.pop().attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                names.update(name for inner in graph.node for name in inner.input)
                names.update(value.name for value in graph.output)
                waiting.extend(graph.node)
    return names


def _check_value(value: ValueInfoProto) -> None:
    """Check that an input or output is a tensor of numbers."""
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "nothing").removesuffix("_type")
        raise ModelError(f"{value.name!r} is {kind}: tensors are supported")
    _check_type(value.type.tensor_type.elem_type, f"{value.name!r}")
    sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if min(sides, default=0) < 0:
        raise ModelError(f"{value.name!r}: shape {tuple(sides)}: dimensions cannot be negative")


def _check_type(kind: int, what: str) -> None:
    if kind == TensorProto.STRING:
        raise ModelError(f"{what} is text: tensors of numbers are supported")
    if kind not in _KNOWN_TYPES:
        raise ModelError(f"{what}: data type {kind} is unknown")


def _check_tensor(tensor: TensorProto) -> None:
    """Check that a tensor has as many bytes as its shape and type need."""
    what = f"tensor {tensor.name!r}"
    _check_type(tensor.data_type, what)
    if tensor.HasField("segment"):
        raise ModelError(f"{what}: stored in segments, which are not supported: store whole tensors")
    count = elements(tensor.dims, what)
    if not tensor.HasField("raw_data"):
        _check_numbers(tensor, count, what)
        return
    expected = stored_bytes(tensor.data_type, count)
    if len(tensor.raw_data) != expected:
        raise ModelError(
            f"{what}: {len(tensor.raw_data):,} bytes, but a shape of {tuple(tensor.dims)} needs {expected:,}"
        )


def stored_bytes(data_type: int, count: int) -> int:
    """Bytes of `count` elements in a file: of types under a byte, several share one."""
    packed = _PER_BYTE.get(TensorProto.DataType.Name(data_type))
    return -(-count // packed) if packed else count * np.dtype(helper.tensor_dtype_to_np_dtype(data_type)).itemsize


def _check_numbers(tensor: TensorProto, count: int, what: str) -> None:
    """The same check for a tensor whose elements are in one of the typed fields."""
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    given = max(map(len, fields))
    if count > 2 * max(given, 1) * 4:  # complex numbers take two entries, small types share one
        raise ModelError(f"{what}: {given:,} elements, but its shape is {tuple(tensor.dims)}")
    try:
        fits = numpy_helper.to_array(tensor).size == count
    except (ValueError, OverflowError, TypeError):
        fits = False
    if not fits:
        raise ModelError(f"{what}: {given:,} elements do not match its type and its shape {tuple(tensor.dims)}")


def elements(dims: Sequence[int], what: str) -> int:
    """The product of a shape. Raises ModelError, beginning with `what`, for a negative dimension or beyond int64."""
    count = 1
    for side in dims:
        if side < 0:
            raise ModelError(f"{what}: shape {tuple(dims)}: dimensions cannot be negative")
        count *= side
    if count >= 1 << 63:
        raise ModelError(f"{what}: shape {tuple(dims)}: more elements than 64 bits can count")
    return count


def is_control_flow(node: NodeProto) -> bool:
    """Whether a node contains graphs, which may run several times or not at all."""
    return any(entry.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for entry in node.attribute)
