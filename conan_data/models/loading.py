"""Load pretrained weights and refuse a model that is not the one that was saved.

transformers fills weights that a file lacks with random numbers, drops weights for which the config has no
place, and says so in its log only; it reads NaN as any other number, and an embedding that is smaller than
the tokenizer's vocabulary fails at the first text with a rare token, days later. Here each is an error:

- Missing: a weight that the model has and the files lack. Tied weights (an output matrix that is the
  embedding) and weights that a family declares as not saved are not missing, as transformers has it. Nor is
  the `pooler` of an encoder whose hidden states are read: its output is used by nobody.
- Mismatched: another shape than the config says.
- Left over: a weight of a repeated layer beyond those that the config has (layer 12 of 12). Other additional
  weights, such as a language head beside a backbone, are not read and not an error.
- NaN or infinite: any such number in a parameter or a saved buffer.
- Vocabulary: the largest token id must have a row in the embedding.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from conan_data.errors import UserError
from conan_data.models.files import ADAPTER, module_folders, read_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_POOLER = "pooler."


@contextmanager
def reading(name: str | Path, what: str = "a model") -> Iterator[None]:
    """Turn whatever a loader raises for bad files into a `UserError` of one line; other errors of ours pass.

    transformers, tokenizers and sentence-transformers raise many types for one cause, among them plain
    `Exception`, so all but a lack of memory are taken to be about the files.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UserError(f"{name} cannot be loaded as {what} ({_one_line(error)})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' report and progress of a load off the screen: `check_report` says what matters."""
    from transformers.utils import logging

    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


def load_pretrained(auto: Any, folder: str | Path, *, dtype: torch.dtype | None = None) -> "PreTrainedModel":
    """Return the model in `folder`, loaded by the class `auto` of transformers on the CPU, after all checks.

    `dtype` is what the weights are read as; None for the dtype they were saved in. Raises `UserError`.
    """
    if not (Path(folder) / "config.json").is_file():
        raise UserError(f"{folder} has no config.json; give the folder of a model saved by transformers")
    if (Path(folder) / ADAPTER).is_file():
        raise UserError(
            f"{folder} is an adapter ({ADAPTER}), not a whole model; merge it into its base first "
            "(peft: merge_and_unload, then save_pretrained)"
        )
    with reading(folder), quiet():
        model, report = auto.from_pretrained(
            str(folder),
            dtype=dtype or "auto",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    check_report(report, model, folder)
    check_finite(model, folder)
    return model


def check_modules(loaded: torch.nn.Module, folder: Path) -> None:
    """Raise `UserError` unless all weights of a sentence-transformers model or cross-encoder in `folder` were read.

    sentence-transformers does not pass on what transformers reports, so the report is asked for once more, on
    the meta device, where no weights are read.
    """
    from transformers import PreTrainedModel

    folders = module_folders(folder)
    module: Any
    for name, module in loaded.named_modules():
        inner: Any = getattr(module, "model", None)
        embedding: Any = getattr(module, "embedding", None)
        # By its name "" the whole model, which passes on the attributes of its first module.
        if name and not isinstance(module, PreTrainedModel) and isinstance(inner, PreTrainedModel):
            reads_pooler = "pooler_output" in repr(getattr(module, "modality_config", ""))
            _check_again(inner, folders.get(name, folder), reads_pooler=reads_pooler)
            embedding = inner.get_input_embeddings()
        tokenizer = getattr(module, "tokenizer", None)
        if hasattr(embedding, "num_embeddings") and hasattr(tokenizer, "get_vocab"):
            check_vocabulary(tokenizer, embedding, folder)
    check_finite(loaded, folder)


def check_report(
    report: Mapping[str, Any], model: "PreTrainedModel", folder: str | Path, *, reads_pooler: bool = False
) -> None:
    """Raise `UserError` for weights that `from_pretrained` reports as missing, mismatched or left over."""
    missing = sorted(key for key in report["missing_keys"] if reads_pooler or not key.startswith(_POOLER))
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} weights of the {type(model).__name__} that its config.json describes, the first is "
            f"{missing[0]!r}; copy or download it again"
        )
    if report["mismatched_keys"]:
        name = sorted(str(entry[0]) for entry in report["mismatched_keys"])[0]
        raise UserError(f"{folder}: weight {name!r} has another shape than config.json says")
    known = {_NUMBER.sub("*", key) for key in model.state_dict()}
    left = sorted(key for key in report["unexpected_keys"] if _is_layer(key, known, model.base_model_prefix))
    if left:
        raise UserError(
            f"{folder} has {len(left)} weights of layers that its config.json does not have, the first is {left[0]!r}; "
            "config and weights do not belong together"
        )


def check_finite(module: torch.nn.Module, folder: str | Path) -> None:
    """Raise `UserError` for a parameter or saved buffer with NaN or infinite numbers."""
    for name, tensor in module.state_dict().items():
        if (
            torch.is_tensor(tensor)
            and tensor.is_floating_point()
            and tensor.numel()
            and not _is_finite(tensor)
        ):
            raise UserError(
                f"{folder}: weight {name!r} holds NaN or infinite numbers; take an earlier checkpoint"
            )


def check_vocabulary(tokenizer: Any, embedding: Any, folder: str | Path) -> None:
    """Raise `UserError` unless `embedding` (a module of torch) has a row for every token id of `tokenizer`."""
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= embedding.num_embeddings:
        raise UserError(
            f"{folder}: the tokenizer has token ids up to {largest:,}, the model's embedding {embedding.num_embeddings:,} rows; "
            "they do not belong together"
        )


def _check_again(model: "PreTrainedModel", folder: Path, *, reads_pooler: bool) -> None:
    base = read_settings(folder / ADAPTER).get("base_model_name_or_path", folder)
    if base != folder:
        _check_adapter(model, folder)
    kind: Any = type(model)
    with reading(folder), quiet():
        _, report = kind.from_pretrained(
            str(base),
            config=model.config,
            device_map="meta",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    check_report(report, model, folder, reads_pooler=reads_pooler)


def _check_adapter(model: "PreTrainedModel", folder: Path) -> None:
    """Raise `UserError` unless the adapter in `folder` has every weight of the adapter in `model`."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="numpy") as file:
        present = {key.removeprefix("base_model.model.") for key in file.keys()}  # noqa: SIM118
    missing = sorted(
        {key.removeprefix("base_model.model.") for key in model.get_adapter_state_dict()} - present
    )
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} weights of its adapter, the first is {missing[0]!r}; copy or download it again"
        )


def _is_layer(key: str, known: set[str], prefix: str) -> bool:
    """Whether `key` is a weight of a repeated layer that the model has, under another number."""
    shape = _NUMBER.sub("*", key)
    return shape != key and bool({shape, shape.removeprefix(f"{prefix}."), f"{prefix}.{shape}"} & known)


def _is_finite(tensor: torch.Tensor) -> bool:
    """Without a mask of the tensor's size: the extremes of a tensor with NaN are NaN."""
    least, most = torch.aminmax(tensor.detach())
    return bool(torch.isfinite(least) & torch.isfinite(most))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
