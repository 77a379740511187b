"""Masking of personal data: email addresses, public IP addresses and phone numbers become fixed placeholders.

The placeholders are reserved for examples (RFC 2606, 5737 and 3849, and the numbers 555-01XX), so they reach
nobody, and masking again changes nothing. The patterns of datatrove's PIIFormatter were the model; what differs:

- An email address is searched from its @ to both sides, at most 64 characters to the left. Time stays linear in
  texts without spaces, and an address between Chinese characters is found. Addresses at example domains, and names
  such as icon@2x.png, stay.
- An IP address stands alone: `1.2.3.4.5`, `v1.2.3.4` and `lib-1.2.3.4` are versions. One number must have three
  digits, which one in 43 addresses lacks and hardly a version has. Private and reserved addresses stay. IPv6
  addresses are masked too, and no placeholder is an address that may belong to somebody.
- Phone numbers are masked only in forms that hardly anything else has: an international prefix, a bracketed or
  leading 0, or the grouping 3-3-4 or 3-4-4 with separators. Bare digits, dates, prices, ISBNs and versions stay,
  and so do numbers in other national forms. Of the example numbers of the library `phonenumbers` (landline and
  mobile, 245 regions) all are masked in international form, and 52% in national form. Its own matcher takes 0.3 to
  4 ms a text, which is too slow to run over a corpus.

A text without @, dots between digits or seven digits in a row costs only the look for these.
"""

import ipaddress
import re
from collections.abc import Collection

EMAIL = "email@example.com"
IPV4 = "192.0.2.1"
IPV6 = "2001:db8::1"
PHONE = "+1-202-555-0100"

MIN_PHONE_DIGITS = 7
MAX_PHONE_DIGITS = 15
LOCAL_LENGTH = 64
"""Longest part of an email address before its @."""

_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_])?\Z")
_DOMAIN = re.compile(
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(xn--[A-Za-z0-9-]{1,59}|[A-Za-z]{2,24}))(?![A-Za-z0-9_-])"
)
_FILE_ENDINGS = frozenset(
    (
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "css",
        "js",
        "json",
        "html",
        "md",
        "py",
        "txt",
        "zip",
        "gz",
        "service",
    )
)
_EXAMPLE_DOMAINS = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)\Z", re.I)

# Patterns that begin with a set of characters are searched ten times faster than those that look behind.
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{1,4}:|:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])", re.ASCII)
_BEFORE_NUMBER = re.compile(r"[\w.:+=/~-]")
"""What stands before a number that is a part of something longer."""

_GAP = r"[ .\-\u2010-\u2013\xa0]"
_PHONE = re.compile(
    # Does not begin inside a word, a number, a price, a path or an address.
    r"(?<![\w.,:/+=#$€£¥%&?-])(?:"
    # +49 30 1234567, +1 (202) 555-0175, 0044 20 7946 0958
    rf"(?:\+[1-9]\d{{0,2}}|00[1-9]\d{{0,2}}{_GAP})(?:{_GAP}?\(\d{{1,4}}\))?(?:{_GAP}?\d{{1,12}}){{1,6}}"
    # (030) 1234 567, (202) 555-0175
    rf"|\(\d{{2,5}}\){_GAP}?\d{{2,9}}(?:{_GAP}\d{{2,8}}){{0,4}}"
    # 01 23 45 67 89, 03-1234-5678, 030/1234567
    rf"|0[1-9]\d{{0,3}}(?:{_GAP}|/)\d{{2,9}}(?:{_GAP}\d{{2,8}}){{0,4}}"
    # 202-555-0175, 138 0013 8000
    rf"|[2-9]\d{{2}}([-. ])[2-9]\d{{2}}\1\d{{4}}|1[3-9]\d([- ])\d{{4}}\2\d{{4}}"
    r")(?![\w%€£¥$]|[.,:/+=-]\d)",
    re.ASCII,
)
_DIGITS_AND_GAPS = re.compile(r"[+(\d][\d ().\-/\u2010-\u2013\xa0]{5,}\d", re.ASCII)
"""Where a phone number may be."""
_DATE = re.compile(
    r"\d{1,2}([-./ ])\d{1,2}\1(?:19|20)\d{2}(?!\d)|(?:19|20)\d{2}([-./ ])\d{1,2}\2\d{1,2}(?!\d)", re.ASCII
)
_DECIMAL = re.compile(r"\+\d+\.\d+\Z", re.ASCII)
_SKELETON = bytes(
    ord("0")
    if chr(byte).isdecimal()
    else byte
    if byte == ord(".")
    else ord("-" if chr(byte) in " ()-/" or byte > 127 else " ")
    for byte in range(256)
)
"""Each byte of a text as digit (0), dot, gap in a number (-, any byte of a character beyond ASCII too) or other (space)."""


def mask(text: str, kinds: Collection[str]) -> tuple[str, dict[str, int]]:
    """`text` with placeholders in place of `email`, `ip` and `phone`, and how many of each were put there."""
    counts: dict[str, int] = {}
    if "email" in kinds and "@" in text:
        text = _mask_emails(text, counts)
    if "ip" in kinds and ("::" in text or text.count(":") > 6):
        text = _IPV6.sub(lambda match: _masked_ip(match, IPV6, counts), text)
    skeleton = text.encode().translate(_SKELETON)
    if "ip" in kinds and skeleton.count(b"0.0") > 1:
        text = _IPV4.sub(lambda match: _masked_ip(match, IPV4, counts), text)
    if "phone" in kinds and b"0" * MIN_PHONE_DIGITS in skeleton.translate(None, b".-"):
        text = _mask_phones(text, counts)
    return text, counts


def _mask_emails(text: str, counts: dict[str, int]) -> str:
    pieces, done, at = [], 0, text.find("@")
    while at >= 0:
        local = _LOCAL.search(text, max(done, at - LOCAL_LENGTH), at)
        domain = _DOMAIN.match(text, at)
        if local and domain:
            if _is_mail_domain(domain[1], domain[2]):
                pieces += [text[done : local.start()], EMAIL]
                _count(counts, "email")
            else:
                pieces.append(text[done : domain.end()])
            done = domain.end()
        at = text.find("@", max(at + 1, done))
    return "".join([*pieces, text[done:]]) if pieces else text


def _is_mail_domain(domain: str, ending: str) -> bool:
    return ending.lower() not in _FILE_ENDINGS and not _EXAMPLE_DOMAINS.search(domain)


def _masked_ip(match: re.Match[str], placeholder: str, counts: dict[str, int]) -> str:
    found = match[0]
    if match.start() and _BEFORE_NUMBER.match(match.string, match.start() - 1):
        return found
    if "." in found and max(map(len, found.split("."))) < 3:
        return found
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return found
    if not address.is_global or address.is_multicast:
        return found
    _count(counts, "ip")
    return placeholder


def _mask_phones(text: str, counts: dict[str, int]) -> str:
    pieces, done = [], 0
    for candidate in _DIGITS_AND_GAPS.finditer(text):
        # With what stands around it, which the pattern looks at.
        start, end = max(done, candidate.start() - 1), candidate.end()
        context = text[end : end + 2]
        piece = _PHONE.sub(lambda match: _masked_phone(match, counts), text[start:end] + context)
        pieces += [text[done:start], piece.removesuffix(context)]
        done = end
    return "".join([*pieces, text[done:]]) if "phone" in counts else text


def _masked_phone(match: re.Match[str], counts: dict[str, int]) -> str:
    found = match[0]
    num_digits = sum(map(str.isdigit, found))
    # A number with its area code has nine digits at least; a date has eight.
    fewest = MIN_PHONE_DIGITS if found[0] in "+(" else 9
    if (
        not fewest <= num_digits <= MAX_PHONE_DIGITS
        or PHONE in found
        or _DATE.match(found)
        or _DECIMAL.match(found)
    ):
        return found
    _count(counts, "phone")
    return PHONE


def _count(counts: dict[str, int], kind: str) -> None:
    counts[kind] = counts.get(kind, 0) + 1
