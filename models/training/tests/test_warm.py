import pytest

torch = pytest.importorskip("torch")

from outrider_train.export import store_half, to_onnx  # noqa: E402
from outrider_train.ocr_net import Reader  # noqa: E402
from outrider_train.warm import load_package  # noqa: E402


@pytest.fixture(scope="module")
def trained():
    """A reader whose batch norms have seen something."""
    torch.manual_seed(0)
    model = Reader(grown=False).train()
    for _ in range(3):
        model(torch.rand(8, 1, 64, 160))
    return model.eval()


def test_a_package_read_back_computes_the_same_and_so_does_a_grown_one(trained, tmp_path):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")
    x = torch.rand(4, 1, 64, 160)
    for grown in (False, True):
        copy = Reader(grown=grown)
        load_package(copy, str(tmp_path / "f32.onnx"), torch.rand(16, 1, 64, 160))
        with torch.no_grad():
            assert torch.allclose(copy.eval()(x), trained(x), atol=2e-3)


def test_half_stored_weights_are_read_back_too(trained, tmp_path):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")
    store_half(tmp_path / "f32.onnx", tmp_path / "half.onnx")
    copy = Reader(grown=False)
    load_package(copy, str(tmp_path / "half.onnx"), torch.rand(16, 1, 64, 160))
    x = torch.rand(4, 1, 64, 160)
    with torch.no_grad():
        assert torch.allclose(copy.eval()(x), trained(x), atol=2e-2)


def test_a_package_of_another_shape_is_refused(trained, tmp_path):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")
    from outrider_train.detector_net import Detector

    with pytest.raises(ValueError, match="weighted layers"):
        load_package(Detector(), str(tmp_path / "f32.onnx"), torch.rand(2, 3, 64, 64))
