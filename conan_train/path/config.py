"""Which recipe to run."""

from dataclasses import dataclass

from conan_data.config import Config
from conan_data.fields import Name


@dataclass(frozen=True, kw_only=True)
class PathConfig(Config):
    """Run a recipe from its first stage to its last."""

    recipe: Name
    """Recipe (YAML), or the name of one that comes with the package, such as `demo`."""
    root: str | None = None
    """Folder that ${root} stands for; the recipe's own by default."""
    only: tuple[str, ...] = ()
    """Names of the stages to run; all by default."""
