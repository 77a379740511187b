"""The embedding model: a stock decoder, its soft mask, pooling, unit length.

One module holds all of it, so that the alpha a checkpoint was trained at is the alpha it is mined, evaluated
and resumed at. The backbone is an unchanged `transformers` model: a saved folder is a plain model folder plus
`conan.json` (see `contract`).
"""

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from conan_data.models.loading import load_pretrained
from conan_train.model.contract import LAST, EncodingContract, read_contract, write_contract
from conan_train.model.pooling import last_token, packed_unit_mean, unit_mean
from conan_train.model.settings import write_config
from conan_train.model.softmask import AttentionForm, SoftMask, install, segments_of
from conan_train.model.tokenization import with_eos_template

# B batch, L positions, D dim


class Embedder(torch.nn.Module):
    """`backbone` under a soft mask of its own, installed here. `mask.alpha` and `mask.attention` may be
    changed between steps.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        contract: EncodingContract,
        *,
        alpha: float = 1.0,
        attention: AttentionForm = "auto",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.contract = contract
        self.mask: SoftMask = install(backbone, alpha=alpha, attention=attention)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Embedder":
        """A copy with an alpha of its own."""
        backbone = copy.deepcopy(self.backbone, memo)
        twin = Embedder(backbone, self.contract, alpha=self.mask.alpha, attention=self.mask.attention)
        twin.training = self.training
        return twin

    @property
    def dimension(self) -> int:
        return self.backbone.config.get_text_config().hidden_size

    @property
    def pad_id(self) -> int:
        """Padding is masked everywhere, so any id serves where the tokenizer has none."""
        return self.backbone.config.get_text_config().pad_token_id or 0

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self,
        input_ids_BL: torch.Tensor,
        attention_mask_BL: torch.Tensor | None = None,
        pool_mask_BL: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Return unit vectors [B, D] in float32 or wider; `pool_mask_BL` says which tokens the mean takes, by
        default those of the contract's pooling.

        With `lengths` the ids are one packed row [1, T] of N texts, see `pack_tokens`: vectors [N, D], the
        same as of the padded batch. It pays in the flash form; the dense bias is [T, T]. An argument and not
        a method of its own, because DDP and FSDP act on `forward` alone.
        """
        if lengths is not None:
            return self._packed(input_ids_BL, lengths, pool_mask_BL)
        states = self.backbone(
            input_ids=input_ids_BL, attention_mask=attention_mask_BL, use_cache=False
        ).last_hidden_state
        if pool_mask_BL is None:
            real_BL = torch.ones_like(input_ids_BL) if attention_mask_BL is None else attention_mask_BL
            pool_mask_BL = last_token(real_BL) if self.contract.pooling == LAST else real_BL
        return unit_mean(states, pool_mask_BL)

    def _packed(
        self, input_ids_1T: torch.Tensor, lengths: Sequence[int], pool_mask_1T: torch.Tensor | None
    ) -> torch.Tensor:
        assert input_ids_1T.shape == (1, sum(lengths)), "lengths are of another row"
        real_1T = torch.ones_like(input_ids_1T)
        text_T = segments_of(lengths, input_ids_1T.device)
        starts_N = torch.tensor([0, *itertools.accumulate(lengths)][:-1], device=input_ids_1T.device)
        position_1T = (torch.arange(len(text_T), device=text_T.device) - starts_N[text_T])[None]
        with self.mask.packed(lengths):
            states = self.backbone(
                input_ids=input_ids_1T, attention_mask=real_1T, position_ids=position_1T, use_cache=False
            ).last_hidden_state
        kept_1T = real_1T if pool_mask_1T is None else pool_mask_1T
        if pool_mask_1T is None and self.contract.pooling == LAST:
            kept_1T = torch.zeros_like(real_1T)
            kept_1T[0, starts_N + torch.tensor(lengths, device=starts_N.device) - 1] = 1
        return packed_unit_mean(states[0], kept_1T[0], text_T=text_T, lengths=lengths)

    def save(
        self,
        folder: str | Path,
        *,
        tokenizer: PreTrainedTokenizerFast | None = None,
        state: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Writes weights (safetensors), config, `conan.json` and, if given, the tokenizer with the EOS
        template to `folder`. `state` are the backbone's weights where it does not hold all of them itself.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.backbone.save_pretrained(folder, state_dict=state)
        self._save_beside(folder, tokenizer)

    def save_settings(self, folder: Path, *, tokenizer: PreTrainedTokenizerFast) -> None:
        """Write what `save` writes, without the weights."""
        write_config(self.backbone, folder)
        self._save_beside(folder, tokenizer)

    def _save_beside(self, folder: Path, tokenizer: PreTrainedTokenizerFast | None) -> None:
        if tokenizer is not None:
            with_eos_template(tokenizer).save_pretrained(folder)
        write_contract(folder, self.contract, self.mask.alpha)

    @classmethod
    def load(cls, folder: str | Path, *, dtype: torch.dtype | None = None) -> "Embedder":
        """A checkpoint with its contract and alpha, in the saved dtype unless one is given, in eval mode, on
        the CPU.

        Choose the dtype here: a later `.to(dtype)` would round the rotary tables as well, which loading keeps
        in float32.
        """
        contract, alpha = read_contract(Path(folder))
        return cls.from_language_model(folder, contract, alpha=alpha, dtype=dtype)

    @classmethod
    def from_language_model(
        cls,
        folder: str | Path,
        contract: EncodingContract,
        *,
        alpha: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> "Embedder":
        """An embedder on the backbone of a model folder without a contract (its language head, if any, is
        left out).
        """
        return cls(load_pretrained(AutoModel, folder, dtype=dtype), contract, alpha=alpha).eval()


def unwrapped(model: torch.nn.Module) -> Embedder:
    """The embedder inside of a data-parallel wrapper, or `model` itself."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, Embedder)
    return inner
