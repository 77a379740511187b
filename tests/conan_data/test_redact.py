import pytest

from conan_data.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pa55@host/v1: no", "https://***@host/v1: no"),
        ("https://us@er:p@ss@host:80/v1", "https://***@host:80/v1"),
        ("s3://AKIA:secret@bucket/x", "s3://***@bucket/x"),
        ("https://host/v1?key=sk-1&x=2", "https://host/v1?key=***&x=2"),
        ("https://host/a?x=2&X-Amz-Signature=ab12 is", "https://host/a?x=2&X-Amz-Signature=*** is"),
        ("'https://host/a?api_key=ab12'", "'https://host/a?api_key=***'"),
        ("https://host/a?page=2", "https://host/a?page=2"),
        ("hf://datasets/owner/name@main: no such file", "hf://datasets/owner/name@main: no such file"),
        ("query 'a@b' in https://host/v1 and more", "query 'a@b' in https://host/v1 and more"),
        ("lr=0.1, key=value", "lr=0.1, key=value"),
    ],
)
def test_secrets_of_addresses_are_not_repeated(text: str, expected: str) -> None:
    assert redact(text) == expected
