import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch")

from outrider_train.export import seven_bits, take_bytes, to_int8, to_onnx, together  # noqa: E402


def stored(path):
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(str(path)).graph.initializer}


@pytest.fixture
def convolution(tmp_path):
    """A float32 model of one convolution, and inputs for it."""
    rng = np.random.default_rng(1)
    weights = {"w": rng.normal(0, 1, (4, 3, 3, 3)), "b": rng.normal(0, 1, 4)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", pads=[1, 1, 1, 1])
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, 8, 8]) for n, c in (("x", 3), ("y", 4))]
    values = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "f32.onnx")
    return tmp_path / "f32.onnx", rng.random((6, 3, 8, 8), np.float32)


def test_int8_weights_leave_a_bit_free_and_answer_alike(convolution, tmp_path):
    path, x = convolution
    to_int8(path, tmp_path / "int8.onnx", x, ["Conv"])
    assert max(np.abs(v.astype(int)).max() for v in stored(tmp_path / "int8.onnx").values() if v.dtype == np.int8) <= 64
    a, b = (ort.InferenceSession(str(p)).run(None, {"x": x})[0] for p in (path, tmp_path / "int8.onnx"))
    assert np.abs(a - b).max() < 0.15


def test_seven_bits_halve_weights_and_double_scales_once(convolution, tmp_path):
    path, x = convolution
    to_int8(path, tmp_path / "int8.onnx", x, ["Conv"])
    model = onnx.load(str(tmp_path / "int8.onnx"))
    for i in model.graph.initializer:  # as if made with all eight bits
        v = numpy_helper.to_array(i)
        if v.dtype in (np.int8, np.int32):
            i.CopyFrom(
                numpy_helper.from_array(
                    (v * 2).astype(v.dtype) if v.dtype == np.int32 else (v.astype(int) * 2).clip(-128, 127).astype(np.int8),
                    i.name,
                )
            )
        elif v.dtype == np.float32 and v.ndim == 1 and "w" in i.name or "b_quantized_scale" in i.name:
            i.CopyFrom(numpy_helper.from_array(v / 2, i.name))
    onnx.save(model, tmp_path / "eight.onnx")
    seven_bits(tmp_path / "eight.onnx", tmp_path / "seven.onnx")
    assert max(np.abs(v.astype(int)).max() for v in stored(tmp_path / "seven.onnx").values() if v.dtype == np.int8) <= 64
    a, b = (ort.InferenceSession(str(tmp_path / p)).run(None, {"x": x})[0] for p in ("int8.onnx", "seven.onnx"))
    assert np.abs(a - b).max() < 0.15


def test_seven_bits_once_is_enough(convolution, tmp_path):
    path, x = convolution
    to_int8(path, tmp_path / "int8.onnx", x, ["Conv"])
    with pytest.raises(ValueError, match="eight bits"):
        seven_bits(tmp_path / "int8.onnx", tmp_path / "again.onnx")


def test_a_relu_behind_a_convolution_is_rounded_once(tmp_path):
    rng = np.random.default_rng(1)
    weights = {n: rng.normal(0, 1, shape) for n, shape in (("w", (4, 3, 3, 3)), ("b", 4), ("w2", (2, 4, 3, 3)), ("b2", 2))}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "w2", "b2"], ["y"], name="second", pads=[1, 1, 1, 1]),
    ]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, 8, 8]) for n, c in (("x", 3), ("y", 2))]
    values = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ports[:1], ports[1:], values), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, tmp_path / "f32.onnx")
    x = rng.random((6, 3, 8, 8), np.float32)
    to_int8(tmp_path / "f32.onnx", tmp_path / "int8.onnx", x, ["Conv"])
    made = {o: n.op_type for n in onnx.load(str(tmp_path / "int8.onnx")).graph.node for o in n.output}
    relu = next(n for n in onnx.load(str(tmp_path / "int8.onnx")).graph.node if n.op_type == "Relu")
    assert made[relu.input[0]] == "Conv"
    a, b = (ort.InferenceSession(str(tmp_path / p)).run(None, {"x": x})[0] for p in ("f32.onnx", "int8.onnx"))
    assert np.abs(a - b).max() < 0.4


def test_two_readers_in_one_file_say_what_each_says(tmp_path):
    import torch

    from outrider_train.ocr_net import SLOTS, Reader

    files, x = [], np.random.default_rng(1).random((2, 1, 64, 160), np.float32)
    for seed in (1, 2):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.onnx")
        to_onnx(Reader().eval(), "reader", files[-1])
    together(files, tmp_path / "both.onnx")
    y = ort.InferenceSession(str(tmp_path / "both.onnx")).run(None, {"x": x})[0]
    assert y.shape == (2, 2 * SLOTS, 37)
    for i, path in enumerate(files):
        alone = ort.InferenceSession(str(path)).run(None, {"x": x})[0]
        assert np.abs(y[:, i * SLOTS : (i + 1) * SLOTS] - alone).max() < 1e-4


def test_a_file_that_takes_bytes_answers_as_the_one_that_takes_floats(convolution, tmp_path):
    path, x = convolution
    pixels = np.round(x * 255).astype(np.uint8)
    pixels[0, 0, 0, :2] = 0, 255  # the range that the quantiser is to see
    floats = pixels.astype(np.float32) / 255
    to_int8(path, tmp_path / "floats.onnx", floats, ["Conv"])
    (tmp_path / "bytes.onnx").write_bytes((tmp_path / "floats.onnx").read_bytes())
    take_bytes(tmp_path / "bytes.onnx")
    a = ort.InferenceSession(str(tmp_path / "floats.onnx")).run(None, {"x": floats})[0]
    b = ort.InferenceSession(str(tmp_path / "bytes.onnx")).run(None, {"x": pixels})[0]
    assert np.abs(a - b).max() < 1e-5
    with pytest.raises(ValueError, match="one QuantizeLinear"):
        take_bytes(tmp_path / "bytes.onnx")
