"""`conan-data push`: an artifact and its card as one commit on the Hub, read back and compared.

Nothing is sent before everything was looked at: licence, rows, paths and tokens. A push that was cut goes on: uploaded
files are not sent again, and a repository that holds all of it already is only read back.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.page import size
from conan_data.publish.config import PushConfig
from conan_data.publish.plan import Plan, make_plan
from conan_data.publish.scan import Finding, Scanner, unchecked_rows

log = logging.getLogger(__name__)
_LISTED = 40
"""Files that are named one by one."""


def push(config: PushConfig) -> str:
    """Push an artifact, and return the address of the commit, or with `dry_run` what would be sent.

    Raises `UserError` for what must not be published unless `allow` says so, and for every fault of the Hub.
    """
    from huggingface_hub import get_token

    opened = artifact.open_artifact(config.artifact)
    plan = make_plan(opened, config.card)
    folders = [opened.dir, opened.dir.resolve().parent, *([Path(config.card)] if config.card else [])]
    findings = look(plan, Scanner(folders, token=get_token()))
    for line in listing(plan, config):
        log.info("%s", line)
    refuse(plan, findings, config)
    if config.dry_run:
        return f"{config.repository}: {len(plan.uploads)} files, nothing was sent (dry run)"
    return send(plan, config, message=config.message or f"Output of {opened.manifest['command']}")


def look(plan: Plan, scanner: Scanner) -> list[Finding]:
    """Return what must not be published, file by file."""
    found: list[Finding] = []
    for upload in plan.uploads:
        found += scanner.look(upload.path, upload.content)
        if upload.path.startswith("queries/") and isinstance(upload.content, Path):
            found += unchecked_rows(upload.path, upload.content)
    return found


def listing(plan: Plan, config: PushConfig) -> list[str]:
    """Return the lines that say what goes, what stays and what is missing."""
    total = sum(upload.size for upload in plan.uploads)
    kind = "public" if config.public else "private"
    lines = [f"{config.repository}: a {kind} {plan.repo_type}, {len(plan.uploads)} files, {size(total)}"]
    lines += [f"  {upload.path}  {size(upload.size)}" for upload in plan.uploads[:_LISTED]]
    if len(plan.uploads) > _LISTED:
        lines.append(f"  ... and {len(plan.uploads) - _LISTED} more")
    if plan.left_out:
        lines.append(f"  stay here, for they hold refused rows: {', '.join(plan.left_out)}")
    return lines + [f"  missing: {what}" for what in missing(plan)]


def missing(plan: Plan) -> list[str]:
    """Return what a complete card would have."""
    wanted = {
        "a licence (conan-data card --license)": plan.license,
        "how to cite it (conan-data card --citation)": "## Citation" in plan.card,
        "the licences of its sources (conan-data card --source-licenses)": "No licence is stated for:"
        not in plan.card,
        "a check for texts of evaluation sets (conan-data decontaminate)": "not checked for texts of eval"
        not in plan.card,
    }
    return [what for what, is_there in wanted.items() if not is_there]


def refuse(plan: Plan, findings: Sequence[Finding], config: PushConfig) -> None:
    """Raise `UserError` for the first thing that must not be published, with how many more there are."""
    problems = (
        [] if plan.license or "no-license" in config.allow else [("no-license", "the card states no licence")]
    )
    problems += [(finding.reason, str(finding)) for finding in findings if finding.reason not in config.allow]
    if not problems:
        return
    for _, problem in problems[1:]:
        log.warning("also: %s", problem)
    reason, problem = problems[0]
    hint = "conan-data card --license states one" if reason == "no-license" else "mend it"
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise UserError(f"{config.artifact}: {problem}{others}; {hint}, or pass --allow {reason}")


def send(plan: Plan, config: PushConfig, *, message: str) -> str:
    """Make the commit, unless it is there already, read it back, and return its address."""
    from conan_data.publish.readback import read_back
    from conan_data.publish.remote import Remote, holds

    remote = Remote(config.repository, plan.repo_type)
    head = remote.head()
    if head is None:
        head = remote.create(public=config.public, allow=config.allow)
    elif not head.is_private and not config.public:
        raise UserError(
            f"{config.repository} is public; pass --public to publish there, or choose another name"
        )
    files = remote.files(head)
    commit = head.commit
    if holds(files, plan):
        log.info("%s: holds all of it already", config.repository)
    else:
        removed = remote.replaced(plan, head, files, config.allow)
        commit = remote.commit(plan, head, removed=removed, message=message)
    tried = read_back(config.repository, commit, plan, endpoint=remote.endpoint, token=remote.token)
    log.info("%s: read back and the same: %s", config.repository, tried)
    return f"{remote.page}/commit/{commit}"
