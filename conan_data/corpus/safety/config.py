"""Which hosts are shut out, and what personal data is masked."""

import dataclasses
from pathlib import Path
from typing import Literal

from conan_data.config import Config, require, source

MaskKind = Literal["email", "ip", "phone"]
MASK_KINDS: tuple[MaskKind, ...] = ("email", "ip", "phone")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SafetyConfig(Config):
    """Block lists by domain, and masking of personal data."""

    block_domains: tuple[str, ...] = source(())
    """Files, plain or .gz, with a domain or the beginning of an address on each line (`#` begins a comment); pages
    there, and on subdomains, are dropped.
    """
    datatrove_domains: bool = False
    """Also block the 4.6 million domains and 20 thousand pages of the lists that come with datatrove, adult sites
    above all.
    """
    mask_pii: bool = False
    """Replace email addresses, public IP addresses and phone numbers by placeholders."""
    mask_kinds: tuple[MaskKind, ...] = MASK_KINDS
    """Which of them: email, ip, phone."""

    def check(self) -> None:
        super().check()
        require(
            not self.mask_pii or len(self.mask_kinds) > 0,
            "mask_kinds",
            self.mask_kinds,
            "name at least one kind, or set mask_pii to false",
        )

    @property
    def inputs(self) -> list[Path]:
        """The lists, which belong to the inputs of the job."""
        return [Path(name) for name in self.block_domains]

    @property
    def blocks(self) -> bool:
        """Whether there is any block list."""
        return bool(self.block_domains) or self.datatrove_domains
