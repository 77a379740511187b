"""Work of training any decoder, counted from its modules, and the share of a device's peak that it uses (MFU).

A text of length L costs 2 operations for every weight of a linear layer, and 4 * L * heads * head width for
every attention layer; the backward pass is twice that again (Chowdhery et al. 2022, PaLM, appendix B).
Embedding tables that are only looked up, norms and softmax are left out; attention counts the full square,
also where a causal mask or the borders of packed documents leave most of it out. For the presets it is their
`flops_per_token` with `lm_head` and `backward`.
"""

import torch
from transformers import PreTrainedModel


def model_flops_per_token(model: PreTrainedModel, *, length: int) -> int:
    """Floating point operations of a token in a row of `length` tokens, forward and backward."""
    linear = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Linear))
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 0)
    width = getattr(config, "head_dim", None) or config.hidden_size // max(heads, 1)
    attention = 4 * length * config.num_hidden_layers * heads * width
    return 3 * (2 * linear + attention)
