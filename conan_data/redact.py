"""What a message must not repeat: users and passwords in addresses, and keys among their parameters."""

import re

_USER = re.compile(r"(?<=://)[^\s/@'\"]+(?:@[^\s/@'\"]+)*@")
_PARAMETER = re.compile(
    r"([?&;][\w.-]*(?:key|token|secret|passw(?:or)?d|sig(?:nature)?|auth|credential)[\w.-]*=)[^\s&;#'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` without the user and password of any address in it (`https://user:password@host`), and without the values
    of parameters that are named like a secret (`?key=...`, `&X-Amz-Signature=...`).
    """
    if "://" not in text and "=" not in text:
        return text
    return _PARAMETER.sub(r"\1***", _USER.sub("***@", text))
