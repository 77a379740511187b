import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw, set_lr


def test_only_matrices_decay() -> None:
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, tie_word_embeddings=True,
        attention_bias=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    optimizer = adamw(model, OptimConfig(weight_decay=0.3))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decaying, other = (
        {names[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups
    )
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert decaying == {
        name
        for name in names.values()
        if name.endswith("proj.weight") and name != "model.layers.0.mlp.up_proj.weight"
    }
    assert other == {name for name in names.values() if "norm" in name or "bias" in name or "embed" in name}
    set_lr(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]


def test_a_model_of_one_kind_has_one_group() -> None:
    assert len(adamw(torch.nn.Linear(3, 3, bias=False), OptimConfig()).param_groups) == 1
