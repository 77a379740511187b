"""The optimizer of a run: AdamW, or Muon for the matrices with AdamW beside it.

Muon (Jordan et al. 2024) replaces a matrix' momentum by the nearest orthogonal matrix, so that all directions
of it move alike. It is made for the matrices between hidden states; tables of embeddings, the output layer,
norms and biases stay with AdamW. Its step is scaled by 0.2 * sqrt(max(rows, columns)) (Liu et al. 2025, Muon
is Scalable for LLM Training), which has the size of AdamW's, so that one learning rate and one weight decay
serve both.
"""

from collections.abc import Callable
from typing import Any

import torch

from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw, parameter_groups


def make_optimizer(model: torch.nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over the trainable parameters of `model`."""
    return MuonBesideAdamW(model, config) if config.kind == "muon" else adamw(model, config)


class MuonBesideAdamW(torch.optim.Optimizer):
    """Muon and AdamW as one optimizer: one list of groups, one state, one step."""

    def __init__(self, model: torch.nn.Module, config: OptimConfig) -> None:
        hidden, other = _split(model, parameter_groups(model, config.weight_decay))
        self.parts: list[torch.optim.Optimizer] = []
        if hidden:
            self.parts.append(
                torch.optim.Muon(
                    hidden,
                    lr=config.lr,
                    momentum=config.muon_momentum,
                    weight_decay=config.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if other:
            fused = {item.device.type for group in other for item in group["params"]} <= {"cpu", "cuda"}
            self.parts.append(torch.optim.AdamW(other, lr=config.lr, betas=config.betas, fused=fused))
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        # The parts see what is set here, such as a learning rate or a restored state.
        start = 0
        for part in self.parts:
            part.state = self.state
            part.param_groups = self.param_groups[start : start + len(part.param_groups)]
            start += len(part.param_groups)

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        assert closure is None, "the gradients are there already"
        for part in self.parts:
            part.step()


def _split(
    model: torch.nn.Module, groups: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The matrices between hidden states, and all other parameters, in the groups of both."""
    find_head = getattr(model, "get_output_embeddings", None)
    head = find_head() if find_head is not None else None
    outside = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    outside |= {id(item) for item in head.parameters()} if isinstance(head, torch.nn.Module) else set()
    hidden, other = [], []
    for group in groups:
        matrices = [item for item in group["params"] if item.ndim == 2 and id(item) not in outside]
        rest = [item for item in group["params"] if not (item.ndim == 2 and id(item) not in outside)]
        hidden += [{**group, "params": matrices}] if matrices else []
        other += [{**group, "params": rest}] if rest else []
    return hidden, other
