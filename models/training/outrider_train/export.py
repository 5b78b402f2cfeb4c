"""Checkpoint -> ONNX files: float32, float32 stored as float16, and int8 (QDQ, u8 activations, s8 weights).

s8 activations are slower than float32 on x86, so activations are u8. Weights use seven of their eight bits: x86 processors
without VNNI add two products in 16 bits and clip them, which cost the detector two points of US recall.
Opset 17 runs in every ONNX Runtime since 1.13; the batch axis is dynamic, and so are the detector's height and width.
"""

import argparse
import pathlib
import tempfile
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from . import checkpoint, place_net
from .detector_net import Detector
from .labels import ALPHABET
from .ocr_net import HEIGHT, SLOTS, WIDTH, Reader

OPSET = 17


def state_of(kind: str, work: pathlib.Path, kept: pathlib.Path | None = None) -> dict:
    """The checkpoint of a kind in `work`, or the file `kept`."""
    path = kept or work / ("detector.pt" if kind == "detector" else "ocr.pt")
    state = checkpoint.load(path)
    if state is None:
        raise FileNotFoundError(f"no checkpoint of the {kind} at {path}")
    return state


def network(kind: str, work: pathlib.Path) -> torch.nn.Module:
    """The averaged network of the checkpoint in `work`, on evaluation."""
    return network_of(kind, state_of(kind, work))


def network_of(kind: str, state: dict) -> torch.nn.Module:
    """The averaged network of a checkpoint, on evaluation."""
    model = Detector(light="tower.0.weight" not in state["average"]) if kind == "detector" else Reader()
    model.load_state_dict(state["average"])
    return model.eval()


def to_onnx(model: torch.nn.Module, kind: str, path: pathlib.Path) -> None:
    """Float32 ONNX file with inputs `x` and outputs `y` of a detector, reader or jurisdiction's network."""
    shapes = {
        "detector": (1, 3, 384, 640),
        "reader": (1, 1, HEIGHT, WIDTH),
        "jurisdiction": (1, 3, place_net.HEIGHT, place_net.WIDTH),
    }
    example = torch.rand(*shapes[kind])
    free = {"x": {0: "n"}, "y": {0: "n"}}
    if kind == "detector":
        free = {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n", 2: "h8", 3: "w8"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            str(path),
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load(str(path)))


def store_half(source: pathlib.Path, path: pathlib.Path, smallest: int = 256) -> None:
    """Keep the weights as float16 and cast them back when the session is made: half the file, the same speed."""
    model = onnx.load(str(source))
    casts = []
    for tensor in list(model.graph.initializer):
        value = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or value.size < smallest:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class _Examples(CalibrationDataReader):
    """Feeds the calibration with typical inputs, one at a time."""

    def __init__(self, inputs: np.ndarray):
        self.left = iter(inputs)

    def get_next(self):
        """The next input, or None."""
        value = next(self.left, None)
        return None if value is None else {"x": value[None]}


def to_int8(
    source: pathlib.Path, path: pathlib.Path, examples: np.ndarray, operators: list[str], keep: tuple[str, ...] = ()
) -> None:
    """Quantise `operators` with ranges seen on `examples` (inputs, float32); nodes whose name contains one of `keep` stay."""
    with tempfile.TemporaryDirectory() as tmp:
        clean = pathlib.Path(tmp, "clean.onnx")
        quant_pre_process(str(source), str(clean), skip_symbolic_shape=True)
        weights = {i.name for i in onnx.load(str(clean)).graph.initializer}
        nodes = onnx.load(str(clean)).graph.node
        chosen = [
            n.name
            for n in nodes
            if n.op_type in operators and any(i in weights for i in n.input) and not any(k in n.name for k in keep)
        ]
        quantize_static(
            str(clean),
            str(path),
            _Examples(examples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=operators,
            nodes_to_quantize=chosen,
            calibrate_method=CalibrationMethod.MinMax,
            reduce_range=True,
        )
    one_rounding(path)


def one_rounding(path: pathlib.Path) -> int:
    """Rounds once between a convolution and its ReLU's consumer: Conv -> Q -> DQ -> Relu -> Q becomes Conv -> Relu -> Q.

    The quantiser puts a pair behind the convolution too. Without it ONNX Runtime folds the ReLU into the integer convolution:
    an eighth of the detector's time, and a rounding less. The number of pairs taken out.
    """
    model = onnx.load(str(path))
    nodes, out = model.graph.node, 0
    zero = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made = {name: node for node in nodes for name in node.output}
    used: dict[str, list] = {}
    for node in nodes:
        for name in node.input:
            used.setdefault(name, []).append(node)
    for relu in [n for n in nodes if n.op_type == "Relu"]:
        chain, name = [], relu.input[0]
        for kind in ("DequantizeLinear", "QuantizeLinear", "Conv"):
            node = made.get(name)
            if node is None or node.op_type != kind or len(used[name]) != 1:
                break
            chain.append(node)
            name = node.input[0]
        after = used[relu.output[0]]
        if len(chain) < 3 or any(n.op_type != "QuantizeLinear" or int(zero[n.input[2]]) != 0 for n in after):
            continue
        relu.input[0] = chain[2].output[0]
        nodes.remove(chain[0])
        nodes.remove(chain[1])
        out += 1
    _keep(model, path)
    return out


def take_bytes(path: pathlib.Path) -> None:
    """An int8 file that takes the picture's bytes as they are, instead of floats that it would round back to them."""
    model = onnx.load(str(path))
    value = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    takes = [n for n in model.graph.node if "x" in n.input]
    if len(takes) != 1 or takes[0].op_type != "QuantizeLinear":
        raise ValueError(f"{path}: x does not go into one QuantizeLinear")
    scale, zero = (value[name] for name in takes[0].input[1:])
    if abs(float(scale) * 255 - 1) > 1e-4 or int(zero) != 0:
        raise ValueError(f"{path}: x is rounded to steps of {float(scale)} from {int(zero)}, not to bytes")
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            if name == takes[0].output[0]:
                node.input[k] = "x"
    model.graph.node.remove(takes[0])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    _keep(model, path)


def _keep(model: onnx.ModelProto, path: pathlib.Path) -> None:
    """Save without weights that no node uses."""
    used = {name for node in model.graph.node for name in node.input}
    for weight in [i for i in model.graph.initializer if i.name not in used]:
        model.graph.initializer.remove(weight)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def together(files: list[pathlib.Path], path: pathlib.Path) -> None:
    """One file of several readers that look at the same crop: their slots one behind the other in `y`, as `ocr.readers` says.

    Readers of different training err differently: where they disagree neither is sure (Lakshminarayanan et al., Simple and
    scalable predictive uncertainty estimation using deep ensembles, 2017).
    """
    graphs = [compose.add_prefix(onnx.load(str(f)), f"reader{i}/") for i, f in enumerate(files)]
    nodes, weights = [], []
    for i, model in enumerate(graphs):
        for node in model.graph.node:
            for k, name in enumerate(node.input):
                if name == f"reader{i}/x":
                    node.input[k] = "x"
            nodes.append(node)
        weights += model.graph.initializer
    nodes.append(helper.make_node("Concat", [f"reader{i}/y" for i in range(len(files))], ["y"], axis=1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, HEIGHT, WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(files) * SLOTS, len(ALPHABET) + 1])
    graph = helper.make_graph(nodes, "readers", [x], [y], weights)
    first = onnx.load(str(files[0]))
    model = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def seven_bits(source: pathlib.Path, path: pathlib.Path) -> None:
    """An int8 file whose weights use all eight bits -> one whose weights use seven; biases follow."""
    model = onnx.load(str(source))
    stored = {i.name: i for i in model.graph.initializer}
    weights = [numpy_helper.to_array(i) for i in model.graph.initializer if i.data_type == TensorProto.INT8]
    if max((np.abs(w.astype(int)).max() for w in weights if w.size > 1), default=0) <= 64:
        raise ValueError(f"{source} has no weight of eight bits")
    scaled = set()
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in stored:
            continue
        values = numpy_helper.to_array(stored[node.input[0]])
        if values.dtype not in (np.int8, np.int32):
            continue
        half = np.round(values / 2).astype(values.dtype)
        stored[node.input[0]].CopyFrom(numpy_helper.from_array(half, node.input[0]))
        if node.input[1] not in scaled:
            scaled.add(node.input[1])
            scale = numpy_helper.to_array(stored[node.input[1]])
            stored[node.input[1]].CopyFrom(numpy_helper.from_array((scale * 2).astype(np.float32), node.input[1]))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def main() -> None:
    """The bare float32 file of a checkpoint, without measuring or choosing anything."""
    p = argparse.ArgumentParser(description=main.__doc__)
    p.add_argument("kind", choices=["reader", "detector"])
    p.add_argument("checkpoint", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    args = p.parse_args()
    to_onnx(network_of(args.kind, state_of(args.kind, args.checkpoint.parent, args.checkpoint)), args.kind, args.out)


if __name__ == "__main__":
    main()
