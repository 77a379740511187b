"""The recipes of cross-lingual sets can be read, and mean what they say."""

from pathlib import Path

import pytest

from conan_data import recipe
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.languages import english_name
from conan_data.xlr.mix import normalise

PIPELINES = Path(__file__).parents[3] / "pipelines"


def test_the_mix_of_the_paper():
    (stage,) = recipe.load(PIPELINES / "xlr_26.yaml", ["build-xlr"])
    mix = normalise(BuildXlrConfig(**stage.values).mix)
    assert len(mix) == 26 and all(english_name(language) for language in mix)
    chinese = sum(share for language, share in mix.items() if language.startswith("zh"))
    assert (mix["en"], chinese, mix["es"]) == pytest.approx((0.25, 0.12, 0.08))
    others = {
        share for language, share in mix.items() if language not in ("en", "es") and "zh" not in language
    }
    assert len(others) == 1 and others.pop() == pytest.approx(0.55 / 21)
