"""Language labels: which ones exist, what they are called, and which language of the mix a label of the data
stands for.

Labels in the wild differ in form (`zh-tw`, `zh_TW`) and in depth (`pt`, `pt_BR`). A label belongs to the
language of the mix that is written the same, or else to its language without script and region: with the mix
{zh, zh_TW}, `zh-TW` counts for `zh_TW`, `zh` and `zh_CN` for `zh`; with {zh} alone all three count for `zh`.
Chinese labels that name a script and those that name a region of that script are one: `zh-Hant` is `zh_TW`.
The other way round nothing is assumed: `pt` is not known to be `pt_BR`.
"""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache

from conan_data.errors import UserError
from conan_data.language.labels import CHINESE_SCRIPTS, read_label, read_scripted_label


@cache
def english_name(label: str) -> str:
    """The name to ask a model for: `Chinese (Traditional, Taiwan)` for `zh_TW`.

    Raises `UserError` with the nearest known label for an unknown one.
    """
    from babel import Locale, UnknownLocaleError

    names = _names()
    primary, *rest = label.replace("-", "_").split("_")
    if primary.lower() not in names:
        nearest = _nearest(primary.lower(), names)
        raise UserError(
            f"mix: {label!r} is not a language code; the nearest is {nearest!r} ({names[nearest]})"
        )
    if not rest:
        return names[primary.lower()]
    try:
        name = Locale.parse("_".join([primary, *rest])).get_display_name("en")
    except (UnknownLocaleError, ValueError):
        name = None
    if name is None:
        raise UserError(
            f"mix: {label!r} is not a known variant of {names[primary.lower()]}; the nearest is {primary.lower()!r}"
        )
    return name


def match(label: str, mix: Iterable[str]) -> str | None:
    """The language of `mix` that `label` stands for, or None."""
    same = {key.lower().replace("-", "_"): key for key in mix}
    exact = same.get(label.strip().lower().replace("-", "_"))
    if exact is not None:
        return exact
    script = read_scripted_label(label)
    if script in CHINESE_SCRIPTS:
        scripted = next((key for key in same.values() if read_scripted_label(key) == script), None)
        if scripted is not None:
            return scripted
    primary = read_label(label)
    return next((key for form, key in same.items() if "_" not in form and read_label(key) == primary), None)


@cache
def _names() -> Mapping[str, str]:
    """English names of languages by code, from CLDR."""
    from babel import Locale

    return {code: str(name) for code, name in Locale("en").languages.items() if "_" not in code}


def _nearest(code: str, names: Mapping[str, str]) -> str:
    """What was meant: the language of that name, the main language of the country of that code, or the code
    most alike.
    """
    from babel import Locale, UnknownLocaleError

    by_name = {name.lower(): known for known, name in names.items()}
    if code in by_name:
        return by_name[code]
    try:
        country = Locale.parse(f"und_{code.upper()}").language
    except (UnknownLocaleError, ValueError):
        country = ""
    if country in names:
        return country
    return difflib.get_close_matches(
        code, sorted(names, key=lambda known: (len(known), known)), n=1, cutoff=0.0
    )[0]
