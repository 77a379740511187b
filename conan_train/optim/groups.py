"""AdamW over two groups: weight decay pulls matrices, and leaves alone what it would only shrink (norms,
biases, embeddings).
"""

from typing import Any

import torch

from conan_train.optim.config import OptimConfig


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters, each once and in the order of the model, as a group that decays and one that
    does not.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decays = [parameter.ndim >= 2 and id(parameter) not in embeddings for parameter in trainable]
    groups = [
        {
            "params": [parameter for parameter, decay in zip(trainable, decays, strict=True) if decay],
            "weight_decay": weight_decay,
        },
        {
            "params": [parameter for parameter, decay in zip(trainable, decays, strict=True) if not decay],
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]


def adamw(model: torch.nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over `parameter_groups`, as one fused kernel where the parameters lie on devices that have it."""
    devices = {parameter.device.type for parameter in model.parameters()}
    return torch.optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.lr,
        betas=config.betas,
        fused=devices <= {"cpu", "cuda"},
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of all groups for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
