"""A cross-encoder of sentence-transformers as a judge."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import hub
from conan_data.chat.answers import Answers, key_of
from conan_data.errors import UserError
from conan_data.judging.config import JudgeConfig
from conan_data.judging.judge import Pair
from conan_data.mining.encoder import fingerprint_folder, resolve_device
from conan_data.progress import progress

_BATCHES_A_SAVING = 16


class CrossEncoderJudge:
    """One probability a pair: the sigmoid of the model's single score. Pairs are judged some batches at a time,
    and kept after each.
    """

    def __init__(self, config: JudgeConfig, judgements: Path, *, device: str) -> None:
        """Raises `UserError` for a model that is not there, or that gives more than one score."""
        self.name = f"the cross-encoder {config.model}"
        self._batch_size = config.batch_size
        self._model = _load(config, device)
        self._key = _fingerprint(config)
        self._judgements = Answers(judgements)

    def judge(self, pairs: Sequence[Pair]) -> np.ndarray:
        keys = [key_of(self._key, pair.query, pair.document) for pair in pairs]
        new = {key: pair for key, pair in zip(keys, pairs) if self._judgements.get(key) is None}
        # By length, so that a batch holds little padding.
        order = sorted(new, key=lambda key: -len(new[key].query) - len(new[key].document))
        size = self._batch_size * _BATCHES_A_SAVING
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        for part in progress(parts, "judging", total=len(parts), unit="part"):
            for key, score in zip(part, self._scores([new[key] for key in part])):
                failure = "" if math.isfinite(score) else "no-number"
                self._judgements.put(key, "" if failure else repr(score), failure)
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


def _load(config: JudgeConfig, device: str) -> Any:
    from sentence_transformers import CrossEncoder

    name, _, revision = (
        config.model.partition("@") if not Path(config.model).exists() else (config.model, "", "")
    )
    try:
        model = CrossEncoder(
            name.removeprefix(hub.PREFIX),
            revision=revision or None,
            max_length=config.max_length,
            device=resolve_device(device),
        )
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"judge.model: {config.model} cannot be loaded ({reason})") from error
    if model.num_labels != 1:
        raise UserError(
            f"judge.model: {config.model} gives {model.num_labels} scores a pair; take a model that gives one"
        )
    return model


def _fingerprint(config: JudgeConfig) -> str:
    settings = {"max_length": config.max_length}
    folder = Path(config.model)
    return (
        fingerprint_folder(folder, settings=settings)
        if folder.is_dir()
        else key_of(config.model, str(settings))
    )
