"""Continue training from a model package: read the weights back out of its ONNX file.

An exported file has batch norm folded into the convolutions. Here each convolution gets its folded weights, and
its batch norm is set to what it then sees, so that the network computes the same and trains on from there.
Blocks marked `grown` that the file does not have keep their start, which is the identity.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.LayerNorm)


def stored_layers(path: str) -> tuple[list[list[np.ndarray]], np.ndarray | None]:
    """Weights (and bias) of every layer of an ONNX file in graph order, and the position table if there is one."""
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
    layers, position = [], None
    for node in graph.node:
        known = [value[i] for i in node.input if i in value]
        if node.op_type in ("Conv", "LayerNormalization") and known:
            layers.append(known)
        elif node.op_type == "MatMul" and known:
            layers.append([known[0].T])
        elif node.op_type == "Add" and known:
            if known[0].ndim == 3:
                position = known[0]
            elif known[0].ndim == 1 and len(layers[-1]) == 1:
                layers[-1].append(known[0])
    return layers, position


def call_order(model: nn.Module, example: torch.Tensor) -> list[nn.Module]:
    """Weighted layers in the order in which a forward pass uses them."""
    seen, hooks = [], []
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            hooks.append(module.register_forward_hook(lambda m, *_: seen.append(m)))
    with torch.no_grad():
        model.eval()(example)
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
def load_package(model: nn.Module, path: str, examples: torch.Tensor) -> None:
    """Fill `model` from the ONNX file at `path`; `examples` are typical inputs, to set batch norm by."""
    layers, position = stored_layers(path)
    modules = call_order(model, examples[:1])
    if len(modules) != len(layers):
        new = {id(m) for block in model.modules() if getattr(block, "grown", False) for m in block.modules()}
        modules = [m for m in modules if id(m) not in new]
    if len(modules) != len(layers):
        raise ValueError(f"{path} has {len(layers)} weighted layers, the network {len(modules)}")
    norm_of = {}
    for seq in model.modules():
        if isinstance(seq, nn.Sequential):
            pairs = zip(list(seq), list(seq)[1:], strict=False)
            norm_of.update({id(a): b for a, b in pairs if isinstance(b, nn.BatchNorm2d)})
    norms = []
    for module, arrays in zip(modules, layers, strict=True):
        module.weight.copy_(torch.from_numpy(arrays[0].copy()).reshape(module.weight.shape))
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
        model.position.copy_(torch.from_numpy(position.copy()))
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
