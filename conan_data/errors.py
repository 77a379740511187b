"""The one exception that means "the input is wrong": the command line prints its message as one line and
exits with 2.
"""


class UserError(Exception):
    """What the user gave cannot be used. The message is one line: the file, field or row, the value, and what
    to do.
    """
