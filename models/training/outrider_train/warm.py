"""Continue training from a model package: read the weights back out of its ONNX file.

An exported file has batch norm folded into the convolutions. Here each convolution gets its folded weights, and
its batch norm is set to what it then sees, so that the network computes the same and trains on from there.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from .blocks import PER_BLOCK, to_pixels

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.LayerNorm)


def module_of(node: str) -> str:
    """The module that a node of an exported graph belongs to: /s8/s8.1/b/b.0/Conv -> s8.1.b.0."""
    path: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if path and part.startswith(path[-1] + "."):
            path.pop()
        path.append(part)
    return ".".join(path)


def stored_layers(path: str) -> tuple[dict[str, list[np.ndarray]], np.ndarray | None]:
    """Weights (and bias) of an ONNX file by module, and the position table if there is one.

    By name: the quantiser puts the nodes of branches into another order.
    """
    graph = onnx.load(path).graph
    value = {i.name: numpy_helper.to_array(i).astype(np.float32) for i in graph.initializer}
    for node in graph.node:  # weights kept as fp16 or int8, and equal ones kept once
        if node.op_type in ("Cast", "Identity") and node.input[0] in value:
            value[node.output[0]] = value[node.input[0]]
        elif node.op_type == "DequantizeLinear" and node.input[0] in value:
            stored, scale = value[node.input[0]], value[node.input[1]]
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            if scale.ndim and scale.size > 1:
                scale = scale.reshape([-1 if i == axis % stored.ndim else 1 for i in range(stored.ndim)])
            value[node.output[0]] = stored * scale  # weights are symmetric: zero point 0
    layers, position = {}, None
    for node in graph.node:
        known, name = [value[i] for i in node.input if i in value], module_of(node.name)
        if node.op_type in ("Conv", "LayerNormalization") and known:
            layers[name] = known
        elif node.op_type == "MatMul" and known:
            layers[name] = [known[0].T]
        elif node.op_type == "Gemm" and known:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            layers[name] = [known[0] if transposed else known[0].T, *known[1:]]
        elif node.op_type == "Add" and known:
            if known[0].ndim == 3:
                position = known[0]
            elif known[0].ndim == 1 and len(layers.get(name, [])) == 1:
                layers[name].append(known[0])
    return layers, position


@torch.no_grad()
def load_package(model: nn.Module, path: str, examples: torch.Tensor) -> None:
    """Fill `model` from the ONNX file at `path`; `examples` are typical inputs, to set batch norm by.

    A deeper network's file gives what both have, and says what it leaves out. An older file may lack the network's YOUNGER
    modules, and the end of its position table: those stay as they are.
    """
    layers, position = stored_layers(path)
    modules = {name: m for name, m in model.named_modules() if isinstance(m, WEIGHTED)}
    younger = getattr(model, "YOUNGER", ())
    missing = [name for name in modules if name not in layers and name not in younger]
    more = [name for name in layers if name not in modules]
    if missing:
        raise ValueError(f"{path} is of another network: it has no {', '.join(missing)}; this one no {', '.join(more) or '-'}")
    if more:
        print(f"{path}: left out {', '.join(more)}")
    norm_of = {}
    for seq in model.modules():
        if isinstance(seq, nn.Sequential):
            pairs = zip(list(seq), list(seq)[1:], strict=False)
            norm_of.update({id(a): b for a, b in pairs if isinstance(b, nn.BatchNorm2d)})
    norms = []
    for name, module in modules.items():
        if name not in layers:
            continue
        arrays = layers[name]
        weights = arrays[0].copy()
        if isinstance(module, nn.Conv2d) and weights.ndim == 4 and weights.shape[1] == PER_BLOCK * module.in_channels:
            weights = to_pixels(weights, module.kernel_size[0], module.padding[0])
        module.weight.copy_(torch.from_numpy(weights).reshape(module.weight.shape))
        bias = torch.from_numpy(arrays[1].copy()) if len(arrays) > 1 else None
        norm = norm_of.get(id(module))
        if norm is None:
            if bias is not None:
                module.bias.copy_(bias)
            continue
        norm.weight.fill_(1)
        norm.bias.copy_(bias)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norms.append(norm)
    if position is not None:
        model.position[:, : position.shape[1]].copy_(torch.from_numpy(position.copy()))
    _set_statistics(model, norms, examples)


def _set_statistics(model: nn.Module, norms: list[nn.BatchNorm2d], examples: torch.Tensor) -> None:
    """Give identity batch norms the statistics of what they see, with scale and shift that undo them."""
    found, hooks = {}, []
    for norm in norms:

        def keep(module, args):
            found[module] = (args[0].mean((0, 2, 3)), args[0].var((0, 2, 3)))

        hooks.append(norm.register_forward_pre_hook(keep))
    model.eval()(examples)
    for hook in hooks:
        hook.remove()
    for norm, (mean, var) in found.items():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.copy_((var + norm.eps).sqrt())
        norm.bias.add_(mean)
