"""An optimizer's state by parameter name, as tensors and JSON.

torch's own `state_dict` numbers the parameters, so a model whose parameters come in another order loads the
moments of the wrong ones in silence. Names cannot be confused, and a state that does not belong to the model
is refused.
"""

from typing import Any

import torch

from conan_data.errors import UserError
from conan_train.checkpoint.shards import Parts


def optimizer_state(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """`optimizer`'s state as JSON (parameter groups, scalars) and as tensors under the keys
    `<entry>/<parameter>`.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        {
            **{key: value for key, value in group.items() if key != "params"},
            "params": [names[id(item)] for item in group["params"]],
        }
        for group in optimizer.param_groups
    ]
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    elsewhere: list[str] = []
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            assert "/" not in key, f"entry {key!r} of the optimizer's state cannot be named"
            full = f"{key}/{names[id(parameter)]}"
            if isinstance(value, torch.Tensor):
                tensors[full] = value.detach()
                elsewhere += [full] if value.device != parameter.device else []
            else:
                scalars.setdefault(names[id(parameter)], {})[key] = value
    return {"groups": groups, "scalars": scalars, "on_cpu": elsewhere}, tensors


def restore_optimizer(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    parts: Parts,
) -> None:
    """Puts a saved state into `optimizer`, which was made over the same groups of the same parameters.

    Raises `UserError` when the groups hold other parameters.
    """
    parameters = dict(model.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    here = [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]
    saved = [group["params"] for group in state["groups"]]
    if here != saved:
        other = sorted(
            {name for group in here for name in group} ^ {name for group in saved for name in group}
        )
        raise UserError(
            f"the checkpoint's optimizer is over other parameters ({', '.join(other[:3]) or 'grouped otherwise'})"
        )
    for group, values in zip(optimizer.param_groups, state["groups"], strict=True):
        for key, value in values.items():
            if key != "params":
                group[key] = tuple(value) if isinstance(group.get(key), tuple) else value
    on_cpu = set(state["on_cpu"])
    optimizer.state.clear()
    for full in parts.names:
        key, name = full.split("/", 1)
        parameter = parameters[name]
        entry = parts.read(full, like=None if full in on_cpu else parameter)
        optimizer.state.setdefault(parameter, {})[key] = (
            entry if full in on_cpu else entry.to(parameter.device)
        )
    for name, entries in state["scalars"].items():
        optimizer.state.setdefault(parameters[name], {}).update(entries)
