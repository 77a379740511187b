"""What decides a clean corpus: languages, rules by script, and when two documents count as one.

`tasks`, `workers`, `memory` and `executor` say only how and where the work is done, and are no part of the
identity: the output is the same, byte for byte, for any of them.
"""

import dataclasses
import re
from typing import Annotated, Literal

from annotated_types import MinLen

from conan_data.config import Memory, StageConfig, execution, require
from conan_data.corpus.classify.config import ClassifyConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.safety.config import SafetyConfig
from conan_data.fields import DISTINCT, Count, FileName, GroupRegex, Name, NonNegativeInt, Rule, Share
from conan_data.inputs import Input, OptionalModelPath, SomeDataPaths
from conan_data.readers.config import ExtractConfig

GROUP_FIELDS = ("group_field", "group_regex", "group_path_regex")
IDENTIFIER = Rule(
    "must be langid, or fasttext: and the path of a model",
    lambda text: re.fullmatch(r"langid|fasttext:.+", text) is not None,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildCorpusConfig(StageConfig):
    """Raw documents in, one clean and deduplicated document a row out, by language."""

    input: SomeDataPaths
    """Files, folders, globs, corpus artifacts, data sets on the Hub (`hf://owner/name[@revision][/config][:split]`),
    or `sample` for the texts that come with the package.
    """
    languages: Annotated[tuple[FileName, ...], MinLen(1), DISTINCT]
    """ISO 639-1 codes of the languages to keep; `zh-Hans` and `zh-Hant` instead of `zh` tell simplified and
    traditional Chinese apart.
    """
    min_lang_score: Share = 0.4
    """Smallest probability of a language guess that is believed without, or against, a declared label."""
    identifier: Annotated[str, IDENTIFIER, Input(names=("langid",), prefix="fasttext:")] = "langid"
    """Who guesses languages: `langid` (py3langid, which comes with the package), or `fasttext:PATH` for a
    fastText model of your own, such as lid.176.bin or GlotLID.
    """
    text_field: Name = "text"
    """Field of a row that holds the text; dots lead into nested fields (`raw.content`)."""
    id_field: str = "id"
    """Field of a row that holds its id; a row without one is called by the path of its file below the input, and its
    place there.
    """
    strict: bool = False
    """Stop at the first row that cannot be read or used, with its file and place, instead of putting it into
    quarantine.
    """
    max_line_bytes: Count = 67_108_864
    """A longer line, or row, goes into quarantine. While one is worked on, memory holds about five times as much,
    twenty times where it is kept (`rules.max_chars`); of address space twice to three times that.
    """
    extract: ExtractConfig = dataclasses.field(default_factory=ExtractConfig)
    """How web pages become text."""
    group_field: str = ""
    """Field of a row, such as `metadata.passage`, whose value names documents that say the same thing; empty:
    each stands for itself.
    """
    group_regex: GroupRegex = ""
    """Regular expression whose first bracketed part, in a document's id, names its group, such as ^(.*)@ for
    page@de and page@fr.
    """
    group_path_regex: GroupRegex = ""
    """The same in the path of its file below the input, such as ^(.+)\\.\\w\\w\\.html$ for guide.de.html and guide.fr.html.
    """
    rules: RulesConfig = dataclasses.field(default_factory=RulesConfig)
    """Length, symbol, boilerplate and repetition rules."""
    code: Literal["keep", "drop"] = "keep"
    """What becomes of blocks of code, between lines of three backquotes or tildes (the `pre` of web pages come so): they
    stay as they are, whatever the rules say, or are taken out.
    """
    safety: SafetyConfig = dataclasses.field(default_factory=SafetyConfig)
    """Block lists of domains, and masking of personal data."""
    classify: ClassifyConfig = dataclasses.field(default_factory=ClassifyConfig)
    """Classifiers of toxicity, adult content, advertisements and fluency, by path."""
    dedup: DedupConfig = dataclasses.field(default_factory=DedupConfig)
    """Duplicate removal."""
    shard_documents: Count = 250_000
    """Documents of one output file."""
    memory: Memory = execution("2GB")
    """Working memory of all processes together, beside some 300 MB a process (2GB, 500MB, 1.5GiB); the result
    does not depend on it. A limit on address space (`ulimit -d`) needs 500 MB a process.
    """
    tokenizer: OptionalModelPath = ""
    """Tokenizer that counts the tokens of each document: a tokenizer artifact, a folder with a tokenizer.json,
    such a file, or a name on the Hub; empty: tokens are not counted.
    """
    tasks: NonNegativeInt = execution(0)
    """Parts the input is cut into; 0: four a worker, or one where there is one worker."""
    workers: Count = execution(1)
    """Tasks that run at the same time: processes of this machine, or of the cluster that `executor` names."""
    executor: ExecutorConfig = dataclasses.field(default_factory=ExecutorConfig, metadata={"identity": False})
    """Where tasks run: here, on Ray, or on Slurm."""

    def check(self) -> None:
        super().check()
        require(
            not ("zh" in self.languages and any(name.startswith("zh-") for name in self.languages)),
            "languages",
            self.languages,
            "name zh, or its scripts zh-Hans and zh-Hant, not both",
        )
        named = [name for name in GROUP_FIELDS if getattr(self, name)]
        require(
            len(named) < 2, (named or [""])[-1], named, "groups can be named in one way only: by one of these"
        )

    @property
    def num_tasks(self) -> int:
        """Parts the input is cut into."""
        return self.tasks or (1 if self.workers == 1 else 4 * self.workers)
