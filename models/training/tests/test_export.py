import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch")

from outrider_train.export import seven_bits, to_int8  # noqa: E402


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
