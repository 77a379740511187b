"""A cross-encoder of sentence-transformers as a judge."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conan_data.chat.answers import Answers, Known, key_of
from conan_data.errors import UserError
from conan_data.judging.config import JudgeConfig
from conan_data.judging.judge import Pair
from conan_data.mining.encoder import fingerprint_folder, resolve_device
from conan_data.models.loading import check_modules, quiet, reading
from conan_data.models.locate import find_model
from conan_data.progress import progress
from conan_data.public_names import published_value

_BATCHES_A_SAVING = 16


class CrossEncoderJudge:
    """One probability a pair: the sigmoid of the model's single score. Pairs are judged some batches at a time,
    and kept after each.
    """

    def __init__(self, config: JudgeConfig, judgements: Path, *, device: str) -> None:
        """Raises `UserError` for a model that is not there, or that gives more than one score."""
        self.name = f"the cross-encoder {published_value(config.model)}"
        self._batch_size = config.batch_size
        folder = find_model(config.model, field="judge.model").folder
        self._model = _load(folder, config, device)
        self._key = fingerprint_folder(folder, settings={"max_length": config.max_length})
        self._judgements = Answers(judgements)

    def judge(self, pairs: Sequence[Pair]) -> np.ndarray:
        keys = [key_of(self._key, pair.query, pair.document) for pair in pairs]
        new = {key: pair for key, pair in zip(keys, pairs) if self._judgements.get(key) is None}
        # By length, so that a batch holds little padding.
        order = sorted(new, key=lambda key: -len(new[key].query) - len(new[key].document))
        size = self._batch_size * _BATCHES_A_SAVING
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        for part in progress(parts, "judging", total=len(parts), unit="part"):
            scores = self._scores([new[key] for key in part])
            self._judgements.put((key, _known(score)) for key, score in zip(part, scores))
        found = [self._judgements.get(key) for key in keys]
        return np.array([float(known[0]) if known and known[0] else np.nan for known in found], np.float32)

    def _scores(self, pairs: list[Pair]) -> list[float]:
        import torch

        logits = self._model.predict(
            [(pair.query, pair.document) for pair in pairs],
            batch_size=self._batch_size,
            show_progress_bar=False,
            activation_fn=torch.nn.Identity(),
        )
        return torch.sigmoid(torch.from_numpy(np.asarray(logits, np.float64))).tolist()


def _known(score: float) -> Known:
    return Known(repr(score)) if math.isfinite(score) else Known("", "no-number")


def _load(folder: Path, config: JudgeConfig, device: str) -> Any:
    from sentence_transformers import CrossEncoder

    with reading(config.model, "a cross-encoder"), quiet():
        model = CrossEncoder(
            str(folder),
            max_length=config.max_length,
            device=resolve_device(device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    check_modules(model, folder)
    if model.num_labels != 1:
        raise UserError(
            f"judge.model: {config.model} gives {model.num_labels} scores a pair; take a model that gives one"
        )
    return model
