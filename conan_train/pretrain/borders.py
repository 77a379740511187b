"""Does a packed document really see nothing of its neighbours, and no token its future? A self-test by
effect.

Packing depends on how a model family builds its mask, and where it goes wrong nothing fails: the loss is even
lower, for every document sees the one before it. Recurrent layers, an attention kernel without borders, or a
bidirectional config would all do it. So before training one row of two short documents is compared with each
of them alone.
"""

import torch
from transformers import PreTrainedModel

from conan_data.errors import UserError

_FIRST, _SECOND = 5, 6
_SAME = 1e-3
"""Largest difference, relative to the largest logit, that rounding may cause (float32 stays far below)."""


@torch.no_grad()
def check_borders(model: PreTrainedModel) -> None:
    """Raises `UserError` when `model` is not causal, or when the logits of a packed document are not those of
    the document alone.
    """
    vocab_size = model.config.get_text_config().vocab_size
    ids = torch.tensor(
        [[(7 + 13 * place) % vocab_size for place in range(_FIRST + _SECOND)]], device=model.device
    )
    positions = torch.tensor([[*range(_FIRST), *range(_SECOND)]], device=model.device)
    was_training = model.training
    model.eval()
    try:
        packed = packed_logits(model, ids, positions)
        alone = packed_logits(model, ids[:, _FIRST:], positions[:, _FIRST:])
        changed = ids.clone()
        changed[:, -1] = (changed[:, -1] + vocab_size // 2) % vocab_size
        future = packed_logits(model, changed, positions)
    finally:
        model.train(was_training)
    limit = _SAME * float(packed.abs().max())
    name = type(model).__name__
    if float((future - packed)[:, :-1].abs().max()) > limit:
        raise UserError(f"{name}: sees its future (is_causal is false?); pretraining needs a causal model")
    if float((packed[:, _FIRST:] - alone).abs().max()) > limit:
        raise UserError(
            f"{name}: documents packed into one row see each other in this architecture; pretraining cannot be right with it"
        )


def packed_logits(model: torch.nn.Module, ids_BL: torch.Tensor, positions_BL: torch.Tensor) -> torch.Tensor:
    """Logits [B, L, V] of packed rows. Borders come from the positions alone, and only without an attention
    mask and without a cache.
    """
    return model(input_ids=ids_BL, position_ids=positions_BL, attention_mask=None, use_cache=False).logits
