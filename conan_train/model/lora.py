"""Low-rank adapters on the backbone of an embedder, through `peft`, to compare with training all weights.

A wrapped model would be another class with other parameter names: the soft mask, the self-tests and `save` of
the embedder would no longer reach the decoder. So the adapters are put *into* the backbone, which stays the
same object, and are merged into its weights before anything is written: a saved folder is a plain model
folder, and nothing that reads it needs peft. At step 0 an adapter adds exactly nothing.

What is not the same: merging rounds to the precision of the weights, so with weights in bf16 the merged model
differs from the trained one by that rounding; keep them in float32.
"""

from importlib.util import find_spec

import torch

from conan_data.errors import UserError
from conan_train.model.config import LoraConfig
from conan_train.model.embedder import Embedder

ALL_LINEAR = "all-linear"


def apply_lora(embedder: Embedder, config: LoraConfig, *, seed: int = 0) -> Embedder:
    """Puts adapters into the backbone of `embedder`, in place, and freezes all else; with rank 0 nothing is
    done.

    The start of the adapters follows from `seed` alone; the generators of the process are left as they were.
    To be called before the optimizer is made and the model is wrapped for several processes. Raises
    `UserError` without peft, and for targets that the backbone does not have.
    """
    if config.rank == 0:
        return embedder
    if find_spec("peft") is None:
        raise UserError("lora.rank: adapters need the package peft; pip install 'conan-embed[lora]'")
    import peft

    adapters = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=ALL_LINEAR if config.targets == (ALL_LINEAR,) else list(config.targets),
    )
    backbone = embedder.backbone
    if missing := _without_layer(backbone, config.targets):
        raise UserError(
            f"lora.targets: {type(backbone).__name__} has no linear layer {missing[0]!r}; it has {', '.join(linear_names(backbone))}"
        )
    # Every parameter that exists by now is of the model; peft freezes it, and adds its own unfrozen.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(adapters, backbone)
    return embedder


def merge_lora(embedder: Embedder) -> Embedder:
    """Adds the adapters to the weights and takes them out, in place; all parameters can be trained again. An
    embedder without adapters is left as it is.

    To publish in the middle of a run, merge a copy: `merge_lora(copy.deepcopy(embedder))`.
    """
    if not has_lora(embedder):
        return embedder
    from peft.tuners.tuners_utils import BaseTunerLayer

    backbone = embedder.backbone
    adapted = [
        (name, module) for name, module in backbone.named_modules() if isinstance(module, BaseTunerLayer)
    ]
    for name, module in adapted:
        module.merge()
        backbone.set_submodule(name, module.get_base_layer())
    if hasattr(backbone, "peft_config"):
        del backbone.peft_config
    return _unfrozen(embedder)


def has_lora(embedder: Embedder) -> bool:
    """Whether adapters are in place."""
    return any("lora_A" in name for name, _ in embedder.backbone.named_parameters())


def linear_names(backbone: torch.nn.Module) -> list[str]:
    """The last parts of the names of all linear layers, each once."""
    return sorted(
        {
            name.split(".")[-1]
            for name, module in backbone.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
    )


def _without_layer(backbone: torch.nn.Module, targets: tuple[str, ...]) -> list[str]:
    known = linear_names(backbone)
    return [target for target in targets if target not in (*known, ALL_LINEAR)]


def _unfrozen(embedder: Embedder) -> Embedder:
    for parameter in embedder.parameters():
        parameter.requires_grad_(True)
        parameter.grad = None
    return embedder
