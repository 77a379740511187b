"""Labelled texts that a tiny classifier can learn: offers and prose, in English and Chinese."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conan_data.classifier.config import FastTextConfig, TrainClassifierConfig

BOTH = "the a of and to in is it that with for on"
OFFER = "buy cheap discount offer sale click order now free shipping coupon deal price save today only"
PROSE = "river history museum bridge winter music family letter garden science mountain story village school"
ZH = {
    "both": "的了在是我们有和人这",
    "offer": "购买打折优惠促销点击下单免费包邮",
    "prose": "历史河流博物馆桥梁冬天音乐家庭花园",
}


@dataclass
class Offers:
    """`wrong` is the share of labels that are turned round."""

    folder: Path

    def text(self, rng: random.Random, *, offer: bool, lang: str = "en") -> str:
        if lang == "zh":
            return "".join(
                rng.choices(ZH["offer" if offer else "prose"], k=12) + rng.choices(ZH["both"], k=8)
            )
        words = rng.choices((OFFER if offer else PROSE).split(), k=6) + rng.choices(BOTH.split(), k=10)
        rng.shuffle(words)
        return " ".join(words)

    def rows(
        self, num_rows: int, *, langs: tuple[str, ...] = ("en",), wrong: float = 0.0
    ) -> list[dict[str, Any]]:
        rng = random.Random(7)
        found = []
        for number in range(num_rows):
            offer, lang = rng.random() < 0.5, langs[number % len(langs)]
            label = "offer" if offer != (rng.random() < wrong) else "prose"
            found.append(
                {"text": self.text(rng, offer=offer, lang=lang), "label": label, "metadata": {"lang": lang}}
            )
        return found

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def config(self, *inputs: Path, **fields: Any) -> TrainClassifierConfig:
        values = {"out": self.folder / "classifier", "input": tuple(map(str, inputs))}
        values |= {"positive_labels": ("offer",), "held_out": 0.5, "fasttext": FastTextConfig(buckets=5000)}
        return TrainClassifierConfig(**(values | fields))


@pytest.fixture
def offers(tmp_path: Path) -> Offers:
    return Offers(tmp_path)
