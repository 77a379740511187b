"""The key of an endpoint, from the environment.

People give the key itself where the name of a variable is asked for. So a value that does not plainly look like a
name is never repeated in a message.
"""

import os
import re

from conan_data.errors import UserError

_NAME = re.compile(r"[A-Z]+(_[A-Z]+)*(_?[0-9]{1,3})?")


def read_key(variable: str) -> str:
    """The key in the environment variable of that name, "" where none is named; raises `UserError` where it
    is not set.
    """
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key and _NAME.fullmatch(variable) is None:
        raise UserError(
            "endpoint.api_key_env: names no environment variable that is set (what was given is not shown, in case it "
            "is the key itself); put the key into a variable (export API_KEY=...) and give the variable's name (API_KEY)"
        )
    if not key:
        raise UserError(
            f"endpoint.api_key_env: the environment variable {variable} is not set; "
            "put the key there, or leave the field empty for a server without keys"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"endpoint.api_key_env: the environment variable {variable} holds characters that no key has; set it again"
        )
    return key
