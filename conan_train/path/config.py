"""Which stages of a recipe to run, and which of their results to replace."""

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
    from_: str = ""
    """Name of the stage to begin with; those before it are not run."""
    overwrite: tuple[str, ...] = ()
    """Names of the stages whose results are made again, in place of what is there."""
    extend: tuple[str, ...] = ()
    """Names of the training stages that go on to the steps that the recipe says now, from what is there."""
    dry_run: bool = False
    """List what would run and why, and run nothing."""
