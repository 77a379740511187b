"""What is refused as a translation. Each check is a file with its argument and its thresholds; `checker` joins them.

A check is a `check.Check`, a name and a function of a frame; to add one, write its file and its test, name it in
`checker.CHECKS` and in `config.CheckName`, and its thresholds in `ChecksConfig`.
"""

from conan_data.xlr.checks.checker import Checker

__all__ = ["Checker"]
