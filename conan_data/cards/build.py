"""`conan-data card`: the card of an artifact, with what its publishers say and with pictures, as an artifact of its own.

What the card is of is never changed: `conan-data push --card` puts the card in the place of the short one that the
builder wrote.
"""

from pathlib import Path

from conan_data import artifact
from conan_data.cards.card import CARD, PICTURES, card_text, facts_of
from conan_data.cards.config import CardConfig
from conan_data.cards.contamination import contamination_of
from conan_data.errors import UserError

KIND = "card"


def card(config: CardConfig) -> Path:
    """Write `README.md` and its pictures, and return the folder.

    Raises `UserError` for an artifact of a kind that has no card, a licence of no source, and notes that are no text.
    """
    opened = artifact.open_artifact(config.artifact)
    facts = facts_of(opened.manifest)
    named = [config.artifact, *filter(None, (config.notes, config.contamination))]
    with artifact.building(config, kind=KIND, command="conan-data card", inputs=named) as build:
        if build.done:
            return build.out
        plots = facts.plots
        text = card_text(
            opened.manifest,
            config,
            notes=_text_of(config.notes),
            contamination=contamination_of(opened.manifest, config.contamination),
            plots=plots,
        )
        (build.dir / CARD).write_text(text, encoding="utf-8")
        if plots:
            from conan_data.cards.plots import draw

            (build.dir / PICTURES).mkdir()
            for plot in plots:
                (build.dir / PICTURES / f"{plot.name}.png").write_bytes(draw(plot))
        return build.publish(
            rows=artifact.Rows(read=1, kept=1),
            extra={"of": opened.manifest_hash, "kind": opened.manifest["kind"]},
        )


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"notes: {path}: cannot be read as UTF-8 text") from error
