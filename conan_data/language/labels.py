"""Language labels: the forms they come in, and which of them count as one.

Labels name the same language in many ways (`pt_BR`, `NB`, `zho_Hans`, `arb`). All are brought to the form that
identifiers answer in and recipes are written in: an ISO 639-1 code where there is one, else ISO 639-3. Only
Chinese keeps its script, as `zh-Hans` or `zh-Hant`, and only where a recipe names one of these.
"""

from functools import lru_cache

VARIANTS = {
    **dict.fromkeys(("acm", "acq", "aeb", "ajp", "apc", "ars", "ary", "arz"), "ar"),
    **dict.fromkeys(("gan", "hak", "wuu", "yue"), "zh"),
    "nn": "no",
}
"""Labels that are merged into another one, unless they are configured themselves."""
ALIASES = {"nb": "no", "fil": "tl"}
"""Codes of CLDR that identifiers call otherwise."""
CHINESE = "zh"
CHINESE_SCRIPTS = frozenset({"zh-Hans", "zh-Hant"})
_SCRIPT_TAGS = {
    "hant": "zh-Hant",
    "hans": "zh-Hans",
    **dict.fromkeys(("tw", "hk", "mo", "cht"), "zh-Hant"),
    **dict.fromkeys(("cn", "sg", "my", "chs"), "zh-Hans"),
}
"""Scripts first, since they overrule a region."""


def read_label(value: object) -> str:
    """The language of a declared label (`pt_BR`, `zh-Hant`, `NB`, `deu`); "" for none."""
    return _read(value)[0] if isinstance(value, str) else ""


def read_scripted_label(value: object) -> str:
    """`read_label`, but `zh-Hans` or `zh-Hant` for a Chinese label that names a script or tells it by its
    region (`zh_TW`).
    """
    return _read(value)[1] if isinstance(value, str) else ""


def merge_variant(label: str, languages: frozenset[str]) -> str:
    """`label`, or the language that it is a variant of unless it is configured itself; a Chinese script is one
    of `zh` unless `languages` tells scripts apart.
    """
    if label in languages:
        return label
    if label in CHINESE_SCRIPTS:
        return CHINESE if languages.isdisjoint(CHINESE_SCRIPTS) else label
    return VARIANTS.get(label, label)


def without_scripts(languages: frozenset[str]) -> frozenset[str]:
    """`languages` as an identifier knows them."""
    return frozenset(CHINESE if name in CHINESE_SCRIPTS else name for name in languages)


@lru_cache(maxsize=4096)
def _read(label: str) -> tuple[str, str]:
    """The language of a label, and the same with the script of Chinese."""
    from babel.core import get_global

    primary, *tags = label.strip().lower().replace("_", "-").split("-")
    primary = get_global("language_aliases").get(primary, primary).split("_")[0]
    primary = ALIASES.get(primary, primary)
    script = next((script for tag, script in _SCRIPT_TAGS.items() if tag in tags), primary)
    return primary, script if primary == CHINESE else primary
