"""Does a decoder really see its future? A self-test by effect, without a tokenizer.

Some architectures drop the bidirectional switch silently, some only when a batch is padded or when it is not,
and the only symptom is a worse model. So nothing is believed of a config: the last token of a text is
changed, and the state of its first token must move or must not. Cheap (a few forwards over 8 tokens); made at
load, before training and at export.
"""

import torch
from transformers import PreTrainedModel

from conan_data.errors import UserError
from conan_train.model.softmask import SoftMask

PADDINGS = ("none", "right", "left")
_WIDTH, _NUM_REAL = 8, 5
_MOVED = 1e-5  # relative to the largest state; rounding stays far below, one token in five far above


@torch.no_grad()
def first_state_moves(model: PreTrainedModel, *, padding: str) -> bool:
    """Whether changing a text's last token changes its first token's state, with `padding` one of `PADDINGS`."""
    device, vocab_size = model.device, model.config.get_text_config().vocab_size
    ids_1L = torch.tensor([[(7 + 13 * place) % vocab_size for place in range(_WIDTH)]], device=device)
    mask_1L = torch.ones_like(ids_1L)
    first, last = 0, _WIDTH - 1
    if padding == "right":
        last = _NUM_REAL - 1
        mask_1L[:, _NUM_REAL:] = 0
    elif padding == "left":
        first = _WIDTH - _NUM_REAL
        mask_1L[:, :first] = 0
    changed_1L = ids_1L.clone()
    changed_1L[:, last] = (changed_1L[:, last] + vocab_size // 2) % vocab_size
    was_training = model.training
    model.eval()
    try:
        before, after = (
            model(input_ids=ids, attention_mask=mask_1L, use_cache=False).last_hidden_state[0, first].float()
            for ids in (ids_1L, changed_1L)
        )
    finally:
        model.train(was_training)
    return bool((after - before).abs().max() > _MOVED * before.abs().max())


def check_bidirectional(model: PreTrainedModel) -> None:
    """Raises `UserError` unless every token of `model` sees its future, padded and unpadded."""
    for padding in PADDINGS:
        if not first_state_moves(model, padding=padding):
            raise UserError(
                f"{type(model).__name__}: is causal ({_batch(padding)}): changing the last token leaves the first token's state as it was; "
                "bidirectional attention is not applied by this architecture or version of transformers"
            )


def check_directions(model: PreTrainedModel, mask: SoftMask) -> None:
    """Raises `UserError` unless `model` under its soft mask sees its future at alpha 1 and does not at alpha
    0; alpha is put back.
    """
    alpha = mask.alpha
    try:
        mask.alpha = 1.0
        check_bidirectional(model)
        mask.alpha = 0.0
        for padding in PADDINGS:
            if first_state_moves(model, padding=padding):
                raise UserError(
                    f"{type(model).__name__}: is not causal at alpha 0 ({_batch(padding)}): changing the last token moves the first "
                    "token's state; the soft mask does not reach this architecture's attention"
                )
    finally:
        mask.alpha = alpha


def _batch(padding: str) -> str:
    return "unpadded batch" if padding == "none" else f"{padding}-padded batch"
