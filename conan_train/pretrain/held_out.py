"""What a model predicts of documents that it was not trained on, by language and by source.

A loss a token compares nothing across tokenizers: more text a token makes it larger. So it is given a
character and a byte of the text that was predicted. The first token of a document has nothing before it and
is not predicted; its characters are not counted either. EOS is predicted, and has none.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from conan_train.pretrain.losses import batch_losses
from conan_train.pretrain.packing import Batch, Row, Stream, stack
from conan_train.pretrain.tokens import Tokens

FEW, MOST = 4, 50
"""Documents of a language that are held out at least (half of what it has, if that is less), and that are
measured at most.
"""


def choose_held_out(places: np.ndarray, *groupings: np.ndarray, share: float) -> np.ndarray:
    """bool [N]: the documents whose hash is below `share`, and of a group (of each grouping, int [N]) with
    fewer than `FEW` of them those with the smallest.
    """
    mask = places < share
    for groups in groupings:
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            wanted = min(FEW, len(members) // 2)
            if mask[members].sum() < wanted:
                mask[members[np.argsort(places[members], kind="stable")[:wanted]]] = True
    return mask


def measure(
    model: torch.nn.Module,
    tokens: Tokens,
    mask: np.ndarray,
    tokenizer: Tokenizer,
    *,
    groups: np.ndarray,
    names: Sequence[str],
    length: int,
    batch_rows: int,
) -> dict[str, dict[str, float]]:
    """Loss a token (nats), perplexity a character and bits a byte for each group (int [N], places in `names`)
    of the documents in `mask`, in rows of `length`.
    """
    was_training = model.training
    model.eval()
    result = {}
    for group, name in sorted(enumerate(names), key=lambda item: item[1]):
        members = np.flatnonzero(mask & (groups == group))
        members = members[np.argsort(tokens.places[members], kind="stable")[:MOST]]
        if len(members):
            result[name] = _measure_one(
                model, tokens, members, tokenizer, length=length, batch_rows=batch_rows
            )
    model.train(was_training)
    return result


@torch.no_grad()
def _measure_one(
    model: torch.nn.Module,
    tokens: Tokens,
    members: np.ndarray,
    tokenizer: Tokenizer,
    *,
    length: int,
    batch_rows: int,
) -> dict[str, float]:
    device = next(model.parameters()).device
    loss, num_labels = 0.0, 0
    for batch in _batches(
        Stream.of(tokens.ids, tokens.starts, members), length=length, batch_rows=batch_rows
    ):
        loss += float(batch_losses(model, batch, device).total.double())
        num_labels += batch.num_labels
    texts = tokenizer.decode_batch(
        [tokens.document(member)[1:-1].tolist() for member in members], skip_special_tokens=False
    )
    num_characters, num_bytes = sum(map(len, texts)), sum(len(text.encode()) for text in texts)
    return {
        "documents": len(members),
        "characters": num_characters,
        "loss_per_token": loss / max(num_labels, 1),
        "perplexity_per_character": math.exp(min(loss / max(num_characters, 1), 700)),
        "bits_per_byte": loss / math.log(2) / max(num_bytes, 1),
    }


def _batches(stream: Stream, *, length: int, batch_rows: int) -> Iterator[Batch]:
    """The stream in rows of `length`; the last row is shorter and comes alone."""
    num_whole = len(stream) // length
    for first in range(0, num_whole, batch_rows):
        numbers = range(first, min(first + batch_rows, num_whole))
        yield stack([stream.row(number * length, length) for number in numbers])
    if len(stream) > num_whole * length:
        last: Row = stream.row(num_whole * length, length)
        yield stack([last])
