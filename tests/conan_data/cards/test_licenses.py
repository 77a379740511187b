"""Licences are those of the Hub or of SPDX, and what each asks of the next user follows from its name."""

import pytest

from conan_data.cards.config import CardText
from conan_data.cards.licenses import (
    ATTRIBUTION,
    NON_COMMERCIAL,
    NOTICE,
    SHARE_ALIKE,
    conflicts,
    read_license,
)
from conan_data.errors import UserError


@pytest.mark.parametrize(
    ("text", "front", "conditions"),
    [
        ("cc-by-sa-4.0", {"license": "cc-by-sa-4.0"}, (ATTRIBUTION, SHARE_ALIKE)),
        ("CC-BY-NC-4.0", {"license": "cc-by-nc-4.0"}, (ATTRIBUTION, NON_COMMERCIAL)),
        ("ODbL-1.0", {"license": "odbl"}, (ATTRIBUTION, SHARE_ALIKE)),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}, (NOTICE, SHARE_ALIKE)),
        ("cc0-1.0", {"license": "cc0-1.0"}, ()),
        ("llama3.1", {"license": "llama3.1"}, None),
        (
            "CC-BY-SA-2.0",
            {
                "license": "other",
                "license_name": "cc-by-sa-2.0",
                "license_link": "https://spdx.org/licenses/CC-BY-SA-2.0.html",
            },
            (ATTRIBUTION, SHARE_ALIKE),
        ),
    ],
)
def test_known_licences(text, front, conditions):
    license = read_license(text)
    assert license.front_matter() == front and license.conditions == conditions


@pytest.mark.parametrize("text", ["cc-by-sa", "creative commons", "CC BY 4.0", "free"])
def test_what_is_no_licence_is_refused_with_the_nearest(text):
    with pytest.raises(UserError, match="neither of the Hub nor of SPDX"):
        read_license(text)
    with pytest.raises(UserError, match="license: must be a licence of the Hub or of SPDX"):
        CardText(license=text)
    with pytest.raises(UserError, match=r"source_licenses.*must be a licence"):
        CardText(source_licenses={"a": text})


def test_other_needs_an_address():
    with pytest.raises(UserError, match="license_link"):
        CardText(license="other")
    assert read_license("other", link="https://example.org/x").front_matter()["license_link"]


def test_conditions_that_the_whole_does_not_keep():
    sources = {name: read_license(name) for name in ("cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "mit")}
    told = conflicts(read_license("mit"), sources)
    assert len(told) == 3 and all(name in " ".join(told) for name in ("sa-4.0", "nc-4.0", "nd-4.0"))
    assert (
        conflicts(read_license("cc-by-nc-sa-4.0"), {"a": sources["cc-by-sa-4.0"], "b": sources["mit"]}) == []
    )
