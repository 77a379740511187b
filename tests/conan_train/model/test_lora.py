import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, LlamaModel

from conan_data.errors import UserError
from conan_train.checkpoint.state import load_checkpoint, save_checkpoint
from conan_train.model import lora
from conan_train.model.config import LoraConfig
from conan_train.model.contract import EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.lora import apply_lora, has_lora, merge_lora
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw

IDS = torch.tensor([[3, 9, 27, 2], [5, 6, 2, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture
def base(llama: LlamaModel) -> Embedder:
    return Embedder(llama, EncodingContract(max_length=8), alpha=0.4)


@pytest.fixture
def adapted(base: Embedder) -> Embedder:
    return apply_lora(copy.deepcopy(base), LoraConfig(rank=3, alpha=6), seed=5)


def step(embedder: Embedder, optimizer: torch.optim.Optimizer) -> None:
    embedder.train()
    vectors_BD = embedder(IDS, MASK)
    (vectors_BD[0] * vectors_BD[1]).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def train(embedder: Embedder, num_steps: int = 3) -> torch.optim.Optimizer:
    optimizer = adamw(embedder, OptimConfig(lr=0.05))
    for _ in range(num_steps):
        step(embedder, optimizer)
    return optimizer


def test_step_0_is_the_base(base: Embedder, adapted: Embedder) -> None:
    assert torch.equal(adapted(IDS, MASK), base(IDS, MASK))
    check_directions(adapted.backbone, adapted.mask)


def test_only_the_adapters_are_trained(base: Embedder, adapted: Embedder) -> None:
    train(adapted)
    (adapted(IDS, MASK)[:, 0]).sum().backward()
    after = dict(adapted.named_parameters())
    with_gradient = {name for name, parameter in after.items() if parameter.grad is not None}
    adapters = {name for name in after if "lora_" in name}
    assert with_gradient == adapters and len(adapters) == 2 * len(LINEAR) * 2
    assert all(after[name].grad.abs().max() > 0 for name in adapters)
    assert sum(after[name].numel() for name in adapters) == sum(
        3 * sum(layer.weight.shape) for layer in base.backbone.modules() if isinstance(layer, torch.nn.Linear)
    )
    for name, parameter in base.named_parameters():
        kept = after.get(name, after.get(name.replace(".weight", ".base_layer.weight")))
        assert torch.equal(kept, parameter), name


def test_merged_is_unmerged_and_plain(base: Embedder, adapted: Embedder, tmp_path: Path) -> None:
    train(adapted)
    adapted.eval()
    expected = adapted(IDS, MASK).detach()
    assert (expected - base(IDS, MASK)).abs().max() > 0.01, "training should have moved it"
    merged = merge_lora(copy.deepcopy(adapted))
    assert has_lora(adapted) and not has_lora(merged)
    assert [name for name, _ in merged.named_parameters()] == [name for name, _ in base.named_parameters()]
    assert all(parameter.requires_grad for parameter in merged.parameters())
    torch.testing.assert_close(merged(IDS, MASK), expected, atol=1e-6, rtol=1e-5)
    merged.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "conan.json",
        "config.json",
        "model.safetensors",
    ]
    torch.testing.assert_close(Embedder.load(tmp_path)(IDS, MASK), expected, atol=1e-6, rtol=1e-5)
    assert "peft" not in (tmp_path / "config.json").read_text()


def test_the_saved_folder_loads_without_peft(adapted: Embedder, tmp_path: Path) -> None:
    merge_lora(adapted).save(tmp_path)
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from transformers import AutoModel\n"
        f"_, report = AutoModel.from_pretrained({str(tmp_path)!r}, output_loading_info=True)\n"
        "assert not report['missing_keys'] and not report['unexpected_keys'], report"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    _, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_a_checkpoint_continues_bit_by_bit(base: Embedder, adapted: Embedder, tmp_path: Path) -> None:
    optimizer = train(adapted, 2)
    path = save_checkpoint(tmp_path, step=2, model=adapted, optimizer=optimizer)
    step(adapted, optimizer)
    other = apply_lora(copy.deepcopy(base), LoraConfig(rank=3, alpha=6), seed=99)
    again = adamw(other, OptimConfig(lr=0.05))
    load_checkpoint(path, model=other, optimizer=again)
    step(other, again)
    for (name, left), right in zip(adapted.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right), name


def test_with_recomputation(adapted: Embedder) -> None:
    def gradients() -> list[torch.Tensor]:
        adapted.zero_grad()
        adapted.train()(IDS, MASK)[:, 0].sum().backward()
        return [parameter.grad.clone() for parameter in adapted.parameters() if parameter.requires_grad]

    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    plain = gradients()
    adapted.backbone.gradient_checkpointing_enable()
    for left, right in zip(plain, gradients(), strict=True):
        assert left.abs().max() > 0
        torch.testing.assert_close(left, right)


def test_the_seed_decides_and_nothing_else(base: Embedder) -> None:
    before = torch.get_rng_state()
    one, same, other = (
        apply_lora(copy.deepcopy(base), LoraConfig(rank=2), seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    name = "backbone.layers.0.mlp.up_proj.lora_A.default.weight"
    assert torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name])


def test_targets_and_rank_0(base: Embedder) -> None:
    before = dict(base.named_parameters())
    assert apply_lora(base, LoraConfig()) is base and merge_lora(base) is base
    assert dict(base.named_parameters()).keys() == before.keys()
    with pytest.raises(
        UserError, match=r"lora.targets: LlamaModel has no linear layer 'query'; it has down_proj"
    ):
        apply_lora(base, LoraConfig(rank=2, targets=("q_proj", "query")))
    assert not has_lora(base) and all(parameter.requires_grad for parameter in base.parameters())
    apply_lora(base, LoraConfig(rank=2, targets=("q_proj", "v_proj")))
    adapters = {name.split(".")[4] for name, parameter in base.named_parameters() if parameter.requires_grad}
    assert adapters == {"q_proj", "v_proj"}


def test_without_peft_the_message_says_what_to_install(
    base: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'conan-embed\[lora\]'"):
        apply_lora(base, LoraConfig(rank=2))


@pytest.mark.parametrize(
    "fields",
    [{"rank": -1}, {"alpha": 0}, {"dropout": 1.0}, {"targets": ()}, {"targets": ("all-linear", "q_proj")}],
)
def test_wrong_values(fields: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(fields))}: "):
        LoraConfig(**fields)


def test_two_processes_train_the_same_adapters(base: Embedder, tmp_path: Path) -> None:
    """One text each; averaged gradients must be those of both texts in one process."""
    base.save(tmp_path / "base")
    torch.multiprocessing.spawn(_one_of_two, args=(str(tmp_path),), nprocs=2)
    alone = apply_lora(Embedder.load(tmp_path / "base"), LoraConfig(rank=3), seed=1).train()
    _away_from_zero(alone)
    (alone(IDS, MASK)[:, 0].sum() / 2).backward()
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    expected = {
        name: parameter.grad for name, parameter in alone.named_parameters() if parameter.requires_grad
    }
    assert first.keys() == second.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], gradient, atol=1e-6, rtol=1e-4)


def _away_from_zero(embedder: Embedder) -> None:
    for name, parameter in embedder.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.02)


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    embedder = apply_lora(Embedder.load(f"{folder}/base"), LoraConfig(rank=3), seed=1).train()
    _away_from_zero(embedder)
    wrapped = torch.nn.parallel.DistributedDataParallel(embedder)
    wrapped(IDS[rank : rank + 1], MASK[rank : rank + 1])[:, 0].sum().backward()
    gradients = {
        name: parameter.grad for name, parameter in embedder.named_parameters() if parameter.requires_grad
    }
    save_file(gradients, f"{folder}/{rank}.safetensors")
    # A wrapper that outlives its group, or a group that a peer has left, waits for ever at the end of a process.
    del wrapped
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
