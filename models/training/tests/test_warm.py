import pytest

torch = pytest.importorskip("torch")

from outrider_train import warm  # noqa: E402
from outrider_train.blocks import take_blocks  # noqa: E402
from outrider_train.detector_net import Bottleneck, Detector  # noqa: E402
from outrider_train.export import store_half, take_bytes, to_int8, to_onnx  # noqa: E402
from outrider_train.ocr_net import WHOLE, Reader  # noqa: E402
from outrider_train.place_net import PlaceNet  # noqa: E402
from outrider_train.warm import load_package  # noqa: E402


def seen(network, shape):
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    model = network().train()
    for _ in range(3):
        model(torch.rand(8, *shape))
    return model.eval()


@pytest.fixture(scope="module")
def trained():
    return seen(Reader, (1, 64, 160))


@pytest.mark.parametrize("network, kind, shape", [(Reader, "reader", (1, 64, 160)), (PlaceNet, "jurisdiction", (3, 96, 192))])
def test_a_package_read_back_computes_the_same(network, kind, shape, tmp_path):
    model = seen(network, shape)
    to_onnx(model, kind, tmp_path / "f32.onnx")
    x = torch.rand(4, *shape)
    copy = network()
    load_package(copy, str(tmp_path / "f32.onnx"), torch.rand(16, *shape))
    with torch.no_grad():
        assert torch.allclose(copy.eval()(x), model(x), atol=2e-3)


def test_half_stored_weights_are_read_back_too(trained, tmp_path):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")
    store_half(tmp_path / "f32.onnx", tmp_path / "half.onnx")
    copy = Reader()
    load_package(copy, str(tmp_path / "half.onnx"), torch.rand(16, 1, 64, 160))
    x = torch.rand(4, 1, 64, 160)
    with torch.no_grad():
        assert torch.allclose(copy.eval()(x), trained(x), atol=2e-2)


def test_a_package_of_another_shape_is_refused(trained, tmp_path):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")
    with pytest.raises(ValueError, match=r"another network: it has no stem.0.0, .*; this one no stages.0.0, "):
        load_package(Detector(), str(tmp_path / "f32.onnx"), torch.rand(2, 3, 64, 64))


def test_a_deeper_package_gives_what_both_have(tmp_path, capsys):
    deeper = Detector()
    deeper.s32.append(Bottleneck(128))
    to_onnx(deeper.eval(), "detector", tmp_path / "deeper.onnx")
    copy = Detector()
    load_package(copy, str(tmp_path / "deeper.onnx"), torch.rand(2, 3, 64, 64))
    assert f"left out s32.{len(copy.s32)}.a.0" in capsys.readouterr().out


@pytest.mark.parametrize("light", [False, True])
def test_a_shipped_detector_is_read_back_though_its_branches_stand_in_another_order(light, tmp_path):
    torch.manual_seed(0)
    model = Detector(light=light).train()
    for _ in range(3):
        model(torch.rand(4, 3, 64, 96))
    to_onnx(model.eval(), "detector", tmp_path / "f32.onnx")
    examples = torch.rand(4, 3, 64, 96)
    examples[0, 0, 0, :2] = torch.tensor([0.0, 1.0])  # the range that the quantiser is to see
    to_int8(tmp_path / "f32.onnx", tmp_path / "int8.onnx", examples.numpy(), ["Conv"])
    take_bytes(tmp_path / "int8.onnx")
    take_blocks(tmp_path / "int8.onnx")
    copy = Detector(light=light)
    load_package(copy, str(tmp_path / "int8.onnx"), examples)
    with torch.no_grad():
        off = (copy.eval()(examples) - model(examples)).abs().mean()
    assert off < 0.1 * model(examples).std()


def test_package_that_knew_one_row_reads_as_before_and_begins_silent_in_two(trained, tmp_path, monkeypatch):
    to_onnx(trained, "reader", tmp_path / "f32.onnx")

    def of_before(path):
        layers, position = warm.stored_layers(path)
        return {k: v for k, v in layers.items() if k not in Reader.YOUNGER}, position[:, :WHOLE]

    copy = Reader()
    with monkeypatch.context() as m:
        older = of_before(str(tmp_path / "f32.onnx"))
        m.setattr(warm, "stored_layers", lambda path: older)
        warm.load_package(copy, str(tmp_path / "f32.onnx"), torch.rand(16, 1, 64, 160))
    x = torch.rand(4, 1, 64, 160)
    with torch.no_grad():
        got, before = copy.eval()(x), trained(x)
    assert torch.allclose(got[:, :WHOLE], before[:, :WHOLE], atol=2e-3)
    assert (got[:, WHOLE:].softmax(-1)[..., 0] > 0.9).all()


def test_slots_of_the_whole_height_do_not_see_the_rows(trained):
    x, changed = torch.rand(2, 1, 64, 160), Reader()
    changed.load_state_dict(trained.state_dict())
    with torch.no_grad():
        changed.rows[0].weight.mul_(-3)
        a, b = trained(x), changed.eval()(x)
    assert torch.allclose(a[:, :WHOLE], b[:, :WHOLE], atol=1e-5)
    assert not torch.allclose(a[:, WHOLE:], b[:, WHOLE:], atol=1e-3)
