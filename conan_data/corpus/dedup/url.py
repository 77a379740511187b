"""When two addresses are one page: scheme, `www.`, default port, fragment, last slash and the parameters that
only say where a visitor came from do not count. The order of the others does, since some sites tell pages
apart by it.
"""

import hashlib
from urllib.parse import urlsplit

_TRACKING = """
_ga _gl _hsenc _hsmi dclid fbclid gbraid gclid gclsrc igshid mc_cid mc_eid mkt_tok msclkid ref_src s_cid twclid
vero_id wbraid yclid
"""
TRACKING = frozenset(_TRACKING.split())
"""Parameters of campaigns and clicks; those that begin with `utm_` beside them."""


def normal_url(url: str) -> str:
    """`url` without what does not tell pages apart; empty for what is none."""
    rest = url.strip().partition("#")[0]
    scheme, separator, after = rest.partition("://")
    rest, scheme = (after, scheme.lower()) if separator else (rest, "")
    address, _, query = rest.partition("?")
    host, slash, path = address.partition("/")
    host = host.lower().removeprefix("www.")
    host = host.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))
    if not host:
        return ""
    path = (slash + path).rstrip("/")
    if query:
        query = "&".join(part for part in query.split("&") if part and not _is_tracking(part))
    return f"{host}{path}?{query}" if query else host + path


def url_hash(url: str | None) -> bytes | None:
    """16 bytes, equal for the addresses of one page; None where there is none."""
    normal = normal_url(url) if url else ""
    return hashlib.blake2b(normal.encode(), digest_size=16).digest() if normal else None


def host(url: str | None) -> str | None:
    """The host of an address, in small letters and without `www.`; None where there is none."""
    try:
        name = urlsplit(url or "").hostname
    except ValueError:
        return None
    return (name or "").removeprefix("www.") or None


def _is_tracking(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in TRACKING or name.startswith("utm_")
