"""AdamW over groups: weight decay pulls matrices, and leaves alone what it would only shrink (norms, biases,
embeddings). Single numbers, such as a temperature, are a group of their own: they are whole where all else is
sharded, and a fused kernel takes no mixture.
"""

from typing import Any

import torch

from conan_train.optim.config import OptimConfig


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters, each once and in the order of the model: those that decay, those that do not, and
    single numbers.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decays = [parameter.ndim >= 2 and id(parameter) not in embeddings for parameter in trainable]
    kinds = [
        "number" if parameter.ndim == 0 else "decays" if decay else "stays"
        for parameter, decay in zip(trainable, decays, strict=True)
    ]
    groups = [
        {
            "params": [item for item, own in zip(trainable, kinds, strict=True) if own == kind],
            "weight_decay": weight_decay if kind == "decays" else 0.0,
        }
        for kind in ("decays", "stays", "number")
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
