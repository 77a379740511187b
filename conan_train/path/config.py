"""Which recipe to run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PathConfig:
    """Run a recipe from its first stage to its last."""

    recipe: str
    """Recipe (YAML), or the name of one that comes with the package, such as `demo`."""
    root: str | None = None
    """Folder that ${root} stands for; the recipe's own by default."""
    only: tuple[str, ...] = ()
    """Names of the stages to run; all by default."""
