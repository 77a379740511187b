"""The embedding model: a stock decoder, its soft mask, mean pooling, unit length.

One module holds all of it, so that the alpha a checkpoint was trained at is the alpha it is mined, evaluated
and resumed at. The backbone is an unchanged `transformers` model: a saved folder is a plain model folder plus
`conan.json` (see `contract`).
"""

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_train.model.contract import EncodingContract, read_contract, write_contract
from conan_train.model.pooling import unit_mean
from conan_train.model.softmask import SoftMask, install
from conan_train.model.tokenization import with_eos_template

# B batch, L positions, D dim


class Embedder(torch.nn.Module):
    """`backbone` under a soft mask of its own, installed here. `mask.alpha` may be changed between steps."""

    def __init__(self, backbone: PreTrainedModel, contract: EncodingContract, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.contract = contract
        self.mask: SoftMask = install(backbone, alpha=alpha)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Embedder":
        """A copy with an alpha of its own."""
        twin = Embedder(copy.deepcopy(self.backbone, memo), self.contract, alpha=self.mask.alpha)
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
        attention_mask_BL: torch.Tensor,
        pool_mask_BL: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Unit vectors [B, D] in float32 or wider; `pool_mask_BL` says which tokens the mean takes, all real
        ones by default.
        """
        states = self.backbone(
            input_ids=input_ids_BL, attention_mask=attention_mask_BL, use_cache=False
        ).last_hidden_state
        return unit_mean(states, attention_mask_BL if pool_mask_BL is None else pool_mask_BL)

    def save(self, folder: str | Path, *, tokenizer: PreTrainedTokenizerFast | None = None) -> None:
        """Writes weights (safetensors), config, `conan.json` and, if given, the tokenizer with the EOS
        template to `folder`.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.backbone.save_pretrained(folder)
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
        if not (Path(folder) / "config.json").is_file():
            raise UserError(f"{folder}: no config.json; give the folder of a model saved by transformers")
        try:
            backbone, report = AutoModel.from_pretrained(
                str(folder),
                dtype=dtype or "auto",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{folder}: does not load as a model ({str(error).splitlines()[0]})") from error
        if report["missing_keys"]:
            missing = sorted(report["missing_keys"])
            raise UserError(
                f"{folder}: {len(missing)} weights of the model are missing, the first is {missing[0]!r}; the folder is not whole"
            )
        return cls(backbone, contract, alpha=alpha).eval()


def unwrapped(model: torch.nn.Module) -> Embedder:
    """The embedder inside of a data-parallel wrapper, or `model` itself."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, Embedder)
    return inner
