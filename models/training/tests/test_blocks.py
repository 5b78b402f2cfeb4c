import numpy as np
import pytest

torch = pytest.importorskip("torch")

from outrider_train.blocks import blocks, take_blocks, to_blocks, to_pixels  # noqa: E402
from outrider_train.detector_net import Detector  # noqa: E402
from outrider_train.evaluate import detector_maps, session  # noqa: E402
from outrider_train.export import take_bytes, to_int8, to_onnx  # noqa: E402


def test_a_block_holds_its_pixels_row_by_row():
    picture = np.arange(4 * 6 * 3).reshape(1, 4, 6, 3)
    block = blocks(picture)[0, 1, 2]
    assert block.reshape(2, 2, 3).tolist() == picture[0, 2:4, 4:6].tolist()


@pytest.mark.parametrize(("kernel", "pad", "side"), [(3, 1, 2), (4, 0, 2), (5, 2, 3), (2, 0, 1)])
def test_weights_come_back_from_blocks(kernel, pad, side):
    weights = np.random.default_rng(1).integers(-64, 65, (5, 3, kernel, kernel)).astype(np.int8)
    moved = to_blocks(weights, pad)
    assert moved.shape == (5, 12, side, side)
    assert np.abs(moved.astype(int)).sum() == np.abs(weights.astype(int)).sum()
    assert (to_pixels(moved, kernel, pad) == weights).all()


@pytest.mark.parametrize("light", [False, True])
def test_a_file_that_takes_blocks_answers_bit_by_bit_as_before(light, tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "int8.onnx"
    to_onnx(Detector(light=light).eval(), "detector", tmp_path / "f32.onnx")
    examples = np.random.default_rng(1).random((3, 3, 64, 96), np.float32)
    examples[0, 0, 0, :2] = 0, 1  # the range that the quantiser is to see
    to_int8(tmp_path / "f32.onnx", path, examples, ["Conv"], ("/head/",))
    files = [session(path)]
    for step in (take_bytes, take_blocks):
        step(path)
        files.append(session(path))
    assert [s.get_inputs()[0].type for s in files] == ["tensor(float)", "tensor(uint8)", "tensor(uint8)"]
    for height, width in ((64, 96), (96, 160)):
        x = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), np.uint8)
        floats, planes, of_blocks = (detector_maps(s, x) for s in files)
        assert planes.shape == of_blocks.shape and (planes == of_blocks).all()
        assert np.abs(floats - planes).max() < 1e-3
    with pytest.raises(ValueError, match="one DequantizeLinear"):
        take_blocks(path)
