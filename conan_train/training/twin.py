"""A whole model beside a sharded one.

Under FSDP2 a process holds a part of each weight, and a forward outside of the training step would have to be taken
by all processes at once, equally often. Encoding a corpus is nothing like that. So it gets a copy with all the
weights, made by all processes together and thrown away afterwards; for that time each device holds the model once
more, without gradients or moments.
"""

import copy

import torch
from transformers import AutoModel

from conan_train.model.embedder import Embedder
from conan_train.training.parallel import whole_state


def whole_embedder(embedder: Embedder, device: torch.device) -> Embedder:
    """`embedder` itself where it holds all of its weights, else a twin on `device`. All processes have to call it."""
    state = whole_state(embedder.backbone, keep=True)
    if state is None:
        return embedder
    # A config of its own: it names the attention, so the twin's mask would become that of the model, too.
    twin = Embedder(
        AutoModel.from_config(copy.deepcopy(embedder.backbone.config)),
        embedder.contract,
        alpha=embedder.mask.alpha,
        attention=embedder.mask.attention,
    )
    twin.backbone.load_state_dict(state)
    return twin.to(device).eval()
