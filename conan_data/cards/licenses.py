"""Licences: the identifiers that the Hub and SPDX know, and what each asks of those who use the data.

The Hub files a repository by an identifier of its own list and shows any other word as it is, so a slip such as
`cc-by-sa` is published as no licence at all. Names are therefore checked where a config is made: one of the Hub's,
or an SPDX expression, which becomes the Hub's identifier where it has one and `other` with a name and a link
elsewhere.
"""

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from conan_data.errors import UserError
from conan_data.fields import Rule, nearest

_HUB = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-
openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-
by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-
nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-
permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl
gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr
mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma
unknown other
"""
HUB = frozenset(_HUB.split())
"""The identifiers of the Hub (its documentation, "Licenses")."""
OTHER, UNKNOWN = "other", "unknown"
_SPDX_TO_HUB = {
    "odc-by-1.0": "odc-by",
    "odbl-1.0": "odbl",
    "pddl-1.0": "pddl",
    "gfdl-1.3": "gfdl",
    "lgpllr": "lgpl-lr",
}
ATTRIBUTION, NON_COMMERCIAL, NO_DERIVATIVES, SHARE_ALIKE = (
    "name the authors and the licence",
    "no commercial use",
    "no changed versions",
    "changed versions only under the same licence",
)
NOTICE, USE_RESTRICTIONS = "keep the copyright and licence notices", "some uses are forbidden"
_CONDITIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"cc0-.*|pddl|unlicense|wtfpl", ()),
    (r"cdla-permissive-.*|odc-by|etalab-2\.0", (ATTRIBUTION,)),
    (r"cdla-sharing-1\.0|odbl", (ATTRIBUTION, SHARE_ALIKE)),
    (r"(a?gpl|lgpl|gfdl|eupl|mpl|osl|epl|ms-pl|lppl).*", (NOTICE, SHARE_ALIKE)),
    (r"apache.*|mit|bsd.*|isc|zlib|ncsa|postgresql|afl.*|artistic.*|ecl.*|bsl.*|openmdw.*", (NOTICE,)),
    (r".*(openrail|rail-).*", (NOTICE, USE_RESTRICTIONS)),
)


@dataclass(frozen=True)
class License:
    """A licence as the front matter of a card states it."""

    identifier: str
    """Of the Hub's list; `other` for one that it lacks."""
    name: str
    """As SPDX or the Hub writes it."""
    link: str = ""
    """Where its text is, for `other`."""

    @property
    def conditions(self) -> tuple[str, ...] | None:
        """What it asks of those who use the data, in words; None where only its text can say."""
        key = (self.name if self.identifier == OTHER else self.identifier).lower()
        if key.startswith("cc-by"):
            parts = key.split("-")
            asked = {"nc": NON_COMMERCIAL, "nd": NO_DERIVATIVES, "sa": SHARE_ALIKE}
            return (ATTRIBUTION, *(words for part, words in asked.items() if part in parts))
        return next((words for pattern, words in _CONDITIONS if re.fullmatch(pattern, key)), None)

    def front_matter(self) -> dict[str, str]:
        """Return the fields of a card by which the Hub files it."""
        named = {"license": self.identifier}
        if self.identifier == OTHER:
            named["license_name"] = re.sub(r"[^a-z0-9.-]+", "-", self.name.lower()).strip("-")
            if self.link:
                named["license_link"] = " ".join(self.link.split())
        return named


def read_license(text: str, *, link: str = "") -> License:
    """Return the licence that an identifier of the Hub, or an expression of SPDX, names.

    Raises `UserError` for a word that is neither, and for `other` without a `link` to its text.
    """
    key = text.strip().lower()
    if key == OTHER and not link:
        raise UserError("licence 'other' needs the address of its text (license_link)")
    if key in HUB:
        return License(key, key, link)
    try:
        name = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        raise UserError(
            f"{text!r} is a licence neither of the Hub nor of SPDX{nearest(key, HUB)}; write one such as cc-by-4.0, or other"
        ) from None
    plain = re.sub(r"-(only|or-later)$", "", name.lower())
    if (known := _SPDX_TO_HUB.get(plain, plain)) in HUB:
        return License(known, name)
    page = f"https://spdx.org/licenses/{name}.html" if " " not in name else ""
    return License(OTHER, name, link or page)


def conflicts(own: License, sources: dict[str, License]) -> list[str]:
    """Return a sentence for every condition of a source that the licence of the whole does not keep."""
    found = []
    kept = own.conditions
    for source, license in sources.items():
        for asked in license.conditions or ():
            if asked == NO_DERIVATIVES:
                found.append(f"{source} ({license.name}) allows no changed versions, and this is one.")
            elif asked in (NON_COMMERCIAL, SHARE_ALIKE) and kept is not None and asked not in kept:
                found.append(f"{source} ({license.name}) asks: {asked}; {own.name} does not.")
    return found


def _is_license(text: str) -> bool:
    try:
        return not text or bool(read_license(text, link="x"))
    except UserError:
        return False


LicenseName: TypeAlias = Annotated[
    str, Rule("must be a licence of the Hub or of SPDX, such as cc-by-4.0", _is_license)
]
"""An identifier that `read_license` reads; empty for none."""
