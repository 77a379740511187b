import time

import pytest

from conan_data.corpus.safety.config import MASK_KINDS, SafetyConfig
from conan_data.corpus.safety.pii import EMAIL, IPV4, IPV6, PHONE, mask
from conan_data.errors import UserError


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+news@mail.server.de, please.", f"Write to {EMAIL}, please."),
        ("联系邮箱abc_1@def.com。谢谢", f"联系邮箱{EMAIL}。谢谢"),
        ("<a@b.org> and a@b.org.", f"<{EMAIL}> and {EMAIL}."),
        ("mailto:x@xn--mnchen-3ya.de", f"mailto:{EMAIL}"),
        ("a@b.org@c.org", f"{EMAIL}@c.org"),
        ("from 93.184.216.34:8080 today", f"from {IPV4}:8080 today"),
        ("(185.220.101.7)", f"({IPV4})"),
        ("host 2606:2800:220:1:248:1893:25c8:1946 up", f"host {IPV6} up"),
        ("dns 2606:4700::1111.", f"dns {IPV6}."),
    ],
)
def test_masked(text: str, masked: str) -> None:
    assert mask(text, MASK_KINDS)[0] == masked


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 1234567",
        "+49 (0)30 1234567",
        "+442079460000",
        "+1 (202) 555-0175",
        "+86 138-0013-8000",
        "0044 20 7946 0958",
        "(202) 555-0175",
        "202-555-0175",
        "202.555.0175",
        "(030) 1234-5678",
        "030/12345678",
        "03-1234-5678",
        "010-1234-5678",
        "01 23 45 67 89",
        "138 0013 8000",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Tel. {}, or write", "电话：{}。", "({})", "call {} now"])
def test_phone_numbers(number: str, around: str) -> None:
    text, counts = mask(around.format(number), MASK_KINDS)
    assert text == around.format(PHONE)
    assert counts == {"phone": 1}


@pytest.mark.parametrize(
    "text",
    [
        "on 2024-01-02, 01-02-2023, 01.02.2023, 02/03/2024, 2024 01 02 and 1998-2004",
        "at 2024-01-02 10:30:45, 20240102T103045 and 01-02-2023 10:30",
        "ISBN 978-0-306-40615-7, 0-306-40615-2, 9780306406157, ISSN 0378-5955",
        "prices of 1,234,567.89 EUR, $12 345 678, 0.123456789, +3.14159265 and 1 000 000 000",
        "versions 1.2.3.4, v10.20.30.140, lib-2.101.3.4, pkg==1.2.3.456, 120.0.6099.109, 1.2.3.101.5",
        "Python 3.11.10, 4.18.0-513.9.1.el8, section 1.2.3.4.5.6",
        "timestamp 1700000000, 1700000000000, id 12345678901234567890, order 0123456789",
        "127.0.0.1, 10.0.0.255, 192.168.1.100, 172.16.254.1, 224.0.0.251, 255.255.255.255, 999.1.1.1",
        "::1, fe80::1, 2001:db8::7334, std::vector, 12:30:45:10:20:30:40:50, 2024:10:11",
        "user@example.com, a@mail.example.org, x@localhost, @name, icon@2x.png, react@18.2.0, a @ b.com",
        "https://medium.com/@user.name/story-123 and 5@7",
        "coordinates 48.8583701, 2.2944813 and hash 0012345678abcdef",
        "grid 000 000 000 000 and 1 2 3 4 5 6 7 8 9 10",
        "phone +1-202-555-0100, address 192.0.2.1, mail email@example.com",
        "rates 202-555-01755 and 12-202-555-0175",
    ],
)
def test_left_as_it_is(text: str) -> None:
    assert mask(text, MASK_KINDS) == (text, {})


def test_masking_again_changes_nothing() -> None:
    pieces = ["a@b.org", "93.184.216.34", "2606:4700::1111", "+49 30 1234567", "(202) 555-0175", "12", "word"]
    for gap in (" ", ", ", "@", "-", ":", "/", "", "。"):
        for first in pieces:
            for second in pieces:
                for third in pieces:
                    text = mask(gap.join((first, second, third)), MASK_KINDS)[0]
                    assert mask(text, MASK_KINDS) == (text, {})


def test_only_the_kinds_that_are_asked_for() -> None:
    text = "a@b.org 93.184.216.34 +49 30 1234567"
    assert mask(text, ("email",)) == (f"{EMAIL} 93.184.216.34 +49 30 1234567", {"email": 1})
    assert mask(text, ("ip",)) == (f"a@b.org {IPV4} +49 30 1234567", {"ip": 1})
    assert mask(text, ("phone",)) == (f"a@b.org 93.184.216.34 {PHONE}", {"phone": 1})


@pytest.mark.parametrize(
    "unit", ["a", "a.", "a-", "1", "1.", "1 ", "0 1", "(1", "+1", "@", "a@", ":", "2001:", "a@b."]
)
def test_time_is_linear(unit: str) -> None:
    """A pattern that tries every start against every end needs minutes here."""
    start = time.process_time()
    mask(unit * (200_000 // len(unit)), MASK_KINDS)
    assert time.process_time() - start < 4


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UserError, match="mask_kinds: must be one of email, ip, phone, got 'name'"):
        SafetyConfig(mask_kinds=("name",))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="name at least one kind"):
        SafetyConfig(mask_pii=True, mask_kinds=())
