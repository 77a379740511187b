import subprocess
import sys

import pytest

from conan_data.config import identity
from conan_data.errors import UserError
from conan_data.xlr.config import BuildXlrConfig, ChecksConfig
from conan_data.xlr.translators_config import EndpointConfig


def config(**fields):
    return BuildXlrConfig(**{"out": "out", "data": "set", "mix": {"en": 1, "de": 2}, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mix": {}}, "mix"),
        ({"mix": {"de": 0}}, "mix.de: must be above 0"),
        ({"mix": {"de": float("nan")}}, "mix.de"),
        ({"mix": {"german language": 1}}, "language code"),
        ({"mix": {"zh_TW": 1, "zh-tw": 1}}, "twice"),
        ({"languages_per_query": 3}, "only 2 languages"),
        ({"languages_per_query": 0}, "languages_per_query"),
        ({"translator": "parrot"}, "must be one of table, endpoint"),
        ({"unmatched": "keep"}, "unmatched"),
        ({"translator": "endpoint"}, "endpoint.base_url"),
        ({"out_split": "a/b"}, "out_split"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        config(**fields)


def test_model_is_needed():
    with pytest.raises(UserError, match=r"endpoint\.model"):
        config(translator="endpoint", endpoint=EndpointConfig(base_url="http://localhost:8000/v1"))


@pytest.mark.parametrize(
    "prompt",
    [
        "Translate {text}",
        "{language}",
        "{language} {text} {tone}",
        "{language} {text} {",
        "{} {language} {text}",
    ],
)
def test_prompt_holds_both_fields_and_no_other(prompt):
    with pytest.raises(UserError, match=r"prompt: must hold"):
        EndpointConfig(prompt=prompt)


def test_address_with_a_password_is_refused_without_showing_it():
    for url in ("http://user:hunter2@host/v1", "http://host/v1?key=hunter2", "host:8000"):
        with pytest.raises(UserError, match=r"base_url: must look like") as raised:
            EndpointConfig(base_url=url)
        assert "hunter2" not in str(raised.value)


def test_bounds_of_checks():
    for fields in ({"max_rival": 0.4}, {"min_length_ratio": 1.0}, {"max_length_ratio": 1.0}):
        with pytest.raises(UserError, match=next(iter(fields))):
            ChecksConfig(**fields)


def test_only_what_decides_the_result_is_identity():
    one = EndpointConfig(base_url="http://a/v1", model="m", concurrency=1, api_key_env="A")
    other = EndpointConfig(base_url="http://b/v1", model="m", concurrency=9, api_key_env="B", max_failures=3)
    assert identity(one) == identity(other)
    assert identity(one) != identity(EndpointConfig(base_url="http://a/v1", model="n"))


def test_config_is_light():
    heavy = ("numpy", "pyarrow", "polars", "httpx2", "babel", "py3langid")
    code = f"import sys, conan_data.xlr.config; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
