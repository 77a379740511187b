import pytest

from conan_data.corpus.dedup.url import normal_url, url_hash

PAGE = "example.com/a/B?id=1"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.com/a/B?id=1",
        "http://EXAMPLE.com:80/a/B?id=1#top",
        "https://example.com:443/a/B?utm_source=x&id=1&fbclid=9",
        " example.com/a/B?id=1 ",
        "http://example.com/a/B/?gclid=2&id=1&UTM_campaign=y",
    ],
)
def test_one_page(url: str) -> None:
    assert normal_url(url) == PAGE
    assert url_hash(url) == url_hash("https://" + PAGE)


@pytest.mark.parametrize(
    "url", ["http://example.com/a/b?id=1", "http://example.com/a/B?id=2", "http://example.com:8080/a/B?id=1"]
)
def test_other_pages(url: str) -> None:
    assert url_hash(url) != url_hash("https://" + PAGE)


def test_no_address_has_no_hash() -> None:
    assert [url_hash(url) for url in (None, "", "  ", "#top", "https://")] == [None] * 5
