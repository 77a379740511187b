"""The model card: what a stranger needs to use the model rightly, and the front matter by which the Hub files
it.
"""

from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from conan_data.manifest import Job
from conan_train.export.config import ExportConfig
from conan_train.export.golden import TOLERANCE
from conan_train.model.contract import EncodingContract

TEMPLATE = "card.md.jinja"
TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction", "conan-embed")


def model_card(
    name: str,
    config: ExportConfig,
    contract: EncodingContract,
    *,
    trained: Job,
    step: int | None,
    dimension: int,
    num_parameters: int,
) -> str:
    """README.md of an exported model; `trained` is the job that trained it, `step` the step of the checkpoint
    that was exported, None for the finished model.
    """
    front: dict[str, object] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": list(TAGS),
    }
    if config.languages:
        front["language"] = list(config.languages)
    if config.license:
        front["license"] = config.license
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(),
        name=name,
        contract=contract,
        dims=sorted(config.dims, reverse=True),
        dimension=dimension,
        num_parameters=num_parameters,
        tolerance=TOLERANCE,
        manifest=trained,
        step=step,
    )
