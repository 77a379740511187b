"""The endpoint of the tests of translation serves those of judges, too."""

from tests.conan_data.xlr.conftest import endpoint

__all__ = ["endpoint"]
