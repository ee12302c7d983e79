"""What LiteRT's reference kernels answer: run by tests/integrations/test_litert.py, or as a program of its own.

python tests/litert.py    prints the CRC-32 of each case's answers
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import numpy as np

from tflite_cases import CASES, inputs_of
from tflite_files import File


def answers(file: File, inputs: np.ndarray) -> np.ndarray:
    """Int8 scores (n, size), before a last SOFTMAX or DEQUANTIZE, for inputs int8 (n, ...) in the file's own order."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.tflite"
        path.write_bytes(file.build())
        model = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
        )
    model.allocate_tensors()
    last = file.operators[-1]
    scores = last.inputs[0] if last.kind in ("SOFTMAX", "DEQUANTIZE") else last.outputs[0]
    found, source = [], model.get_input_details()[0]
    for image in inputs:
        given = image[None]
        if source["dtype"] == np.float32:
            first = file.tensors[file.operators[0].outputs[0]]
            given = ((given.astype(np.float64) - first.zero) * np.float32(first.scale)).astype(np.float32)
        if source["dtype"] == np.uint8:
            given = (given.astype(np.int16) + 128).astype(np.uint8)
        model.set_tensor(source["index"], given)
        model.invoke()
        given = model.get_tensor(scores).reshape(-1)
        found.append((given ^ 128).view(np.int8) if given.dtype == np.uint8 else given.copy())
    return np.stack(found)


def main() -> None:
    for name, make in CASES.items():
        file = make()
        print(f'    "{name}": {zlib.crc32(np.ascontiguousarray(answers(file, inputs_of(file))).tobytes())},')


if __name__ == "__main__":
    main()
