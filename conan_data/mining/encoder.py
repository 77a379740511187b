"""The encoder that mining and evaluation share, and how one is loaded.

Mined negatives are only as good as the claim "these vectors are that model's". Two things break the claim
silently: a cache that is keyed by a model's name while its weights have changed, and a checkpoint of a
half-finished soft mask that is read as if it were causal. So an encoder carries a *fingerprint* of everything
that its vectors depend on, and a folder with a contract file (`conan.json`) is only read by the loader that
its `format` names. Loaders are found as entry points (`conan_data.encoders`): this package knows no model
code.

Not in the fingerprint: device, batch size and library versions, which change the last bits of a vector.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from conan_data.errors import UserError
from conan_data.models.files import MODULES
from conan_data.models.locate import LANGUAGE_MODEL, Model, find_model
from conan_data.progress import counting

Kind = Literal["query", "document"]
PLURALS: dict[Kind, str] = {"query": "queries", "document": "documents"}

CONTRACT = "conan.json"
"""File of a checkpoint of this project; its `format` names the entry point that loads it."""
ENTRY_POINTS = "conan_data.encoders"
DTYPES = ("auto", "float32", "bfloat16", "float16")
_WEIGHTS_AND_SETTINGS = {".safetensors", ".bin", ".json", ".txt", ".model", ".tiktoken", ".vocab"}
_OTHER_BACKENDS = {"onnx", "openvino"}


class Encoder(Protocol):
    """Turns texts into vectors of unit length."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: weights, tokenizer, prompts, pooling, maximum length."""
        ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """Return float32 [len(texts), dimension], each row of length 1, in the order of `texts`.

        Texts are counted on the current meter (`progress.current`) as they are done, where there is one.
        """
        ...


def encode_shown(encoder: Encoder, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
    """Return `encoder.encode(texts, kind=kind)`, and show how far it is."""
    with counting(f"encoding {PLURALS[kind]}", total=len(texts), unit="text") as meter:
        vectors_ND = encoder.encode(texts, kind=kind)
        meter.catch_up(len(texts), is_new=True)
    return vectors_ND


def load_encoder(
    model: str | Path | Model,
    *,
    max_length: int | None = None,
    batch_tokens: int = 16384,
    device: str = "auto",
    dtype: str = "auto",
    prompts: Mapping[Kind, str] | None = None,
) -> Encoder:
    """Return the encoder in a folder or artifact (see `models.locate`), or of a Hub id with an optional `@revision`.

    `batch_tokens` bounds one forward pass, padding included; `dtype` is what the weights are read as (one of
    `DTYPES`; auto: as they were saved); `prompts` replaces the model's own. Raises
    `UserError` when there is no such model, when its files are not whole or do not belong together (see
    `models.loading`), when the folder is a checkpoint whose loader is not installed, or when it cannot read
    `max_length` tokens.
    """
    found = model if isinstance(model, Model) else find_model(model)
    is_artifact = Path(found.name).resolve() != found.folder.resolve()
    if found.kind == LANGUAGE_MODEL and is_artifact and not (found.folder / CONTRACT).is_file():
        # Nobody has said how its states become vectors. Whoever names its folder asks for sentence-transformers' way.
        is_named = found.folder.absolute().is_relative_to(Path(found.name).absolute())
        hint = f", or name its folder {found.folder.name} to read it as sentence-transformers does (mean of the states)"
        raise UserError(
            f"{found.name}: its model has neither {CONTRACT} nor {MODULES}, so it is no encoder; train one from it first"
            f"{hint if is_named else ''}"
        )
    if (found.folder / CONTRACT).is_file():
        if prompts:
            raise UserError(
                f"{found.folder}: its {CONTRACT} fixes the prompts; leave {' and '.join(sorted(f'{kind}_prompt' for kind in prompts))} out"
            )
        return _load_checkpoint(
            found.folder,
            max_length=max_length,
            batch_tokens=batch_tokens,
            device=resolve_device(device),
            **({} if dtype == "auto" else {"dtype": dtype}),
        )
    from conan_data.mining.sentence_transformer import load_sentence_transformer

    return load_sentence_transformer(
        found.folder,
        max_length=max_length,
        batch_tokens=batch_tokens,
        device=device,
        dtype=dtype,
        prompts=dict(prompts or {}),
    )


def unit_rows(vectors_ND: np.ndarray) -> np.ndarray:
    """Return float32 vectors scaled to length 1; a zero vector stays zero. Raises `UserError` for NaN or infinity."""
    vectors_ND = np.asarray(vectors_ND, np.float32)
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    if not np.isfinite(length_N1).all():
        raise UserError(
            "model: gives vectors with NaN or infinite numbers; read its weights with --dtype float32, or take another checkpoint"
        )
    return vectors_ND / np.maximum(length_N1, np.finfo(np.float32).tiny)


def fingerprint_folder(folder: Path, *, settings: Mapping[str, object]) -> str:
    """SHA-256 (hex) over the weights, tokenizer and JSON files of a model folder and over `settings` (plain
    JSON values).

    Documentation, hidden files and the weights of other backends (onnx, openvino) are left out.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if (
            path.is_file()
            and path.suffix in _WEIGHTS_AND_SETTINGS
            and not hidden
            and parts[0] not in _OTHER_BACKENDS
        ):
            with open(path, "rb") as file:
                hashes["/".join(parts)] = hashlib.file_digest(file, "sha256").hexdigest()
    record = {"files": hashes, "settings": dict(settings)}
    return hashlib.sha256(json.dumps(record, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def resolve_device(device: str) -> str:
    """`auto` becomes the first of cuda, mps, cpu that is there; raises `UserError` for a device that is not."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device: {device!r} cannot be used here ({str(error).splitlines()[0]}); try --device auto"
        ) from error
    return device


def _load_checkpoint(folder: Path, **options: object) -> Encoder:
    contract = folder / CONTRACT
    try:
        name = json.loads(contract.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{contract}: not a contract file: it has no 'format' ({error})") from error
    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        raise UserError(
            f"{contract}: nothing that is installed loads the format {name!r}; install the package that wrote it (conan-embed)"
        )
    return found[0].load()(folder, **options)
