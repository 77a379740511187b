"""Which recipe to run."""

from dataclasses import dataclass
from typing import Annotated

from conan_data.config import Config
from conan_data.fields import Name, PathMark
from conan_data.inputs import OptionalFolder


@dataclass(frozen=True, kw_only=True)
class PathConfig(Config):
    """Run a recipe from its first stage to its last."""

    recipe: Annotated[Name, PathMark()]
    """Recipe (YAML), or the name of one that comes with the package, such as `demo`."""
    root: OptionalFolder = None
    """Folder that ${root} stands for; the recipe's own by default."""
    only: tuple[str, ...] = ()
    """Names of the stages to run; all by default."""
