"""`ncap environment lock | list | gc`: locks of recipes, what there is of images, what can go."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.deploy.images import ListedEnvironment
    from ncap_iac.environments.garbage import Verdict

_DAY_S = 86_400
_HOUR_S = 3_600


def run_lock(context: Context) -> Answer:
    """Lock, or look whether the lock is in date."""
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.image_upkeep import check_lock, lock, locking_of

    name = context.arguments.name
    folder = context.project.document(Kind.BLUEPRINT, name).parent
    if context.get("check", False):
        check_lock(image_maker(context), folder)
        file = str(locking_of(folder).lock)
        return Answer(
            kind="Lock", data={"file": file, "inDate": True, "changed": False}, blocks=(Text(f"{file}: in date"),)
        )
    locked = lock(image_maker(context), folder, upgrade=context.get("upgrade", False))
    said = "written" if locked.changed else "is as it was"
    return Answer(
        kind="Lock",
        data={"file": str(locked.file), "inDate": True, "changed": locked.changed, "packages": locked.packages},
        blocks=(Text(f"{locked.file}: {said}, {locked.packages} packages"),),
        next_commands=(f"ncap environment pin {name}",) if locked.changed else (),
    )


def run_list(context: Context) -> Answer:
    """Environments of the project, and images of this computer."""
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.environments.store import list_images

    maker = image_maker(context)
    listed = maker.listing()
    known = {item.folder for item in listed}
    others = [image for image in list_images(maker.places.images) if image.folder not in known]
    return Answer(
        kind="EnvironmentList",
        data={
            "environments": [_document(item) for item in listed],
            "otherImages": [
                {
                    "environment": image.environment,
                    "folder": str(image.folder),
                    "sizeBytes": image.seal.size_bytes,
                    "built": image.seal.built,
                }
                for image in others
            ],
        },
        blocks=(
            Table(
                ("name", "environment", "blueprint names it", "image", "built"),
                tuple(
                    (
                        *(item.name, item.environment, "yes" if item.is_pinned else "no", _image(item)),
                        _age(item.built, context.world.now()),
                    )
                    for item in listed
                ),
                empty="No environments here.",
            ),
            Table(
                ("environment", "size", "built"),
                tuple(
                    (image.environment, size(image.seal.size_bytes), _age(image.seal.built, context.world.now()))
                    for image in others
                ),
                title="Other images on this computer",
                empty="No other images.",
            ),
        ),
    )


def run_gc(context: Context) -> Answer:
    """Remove what nobody needs, or show what would go."""
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.image_upkeep import sweep

    dry_run = context.get("dry_run", False)
    swept = sweep(image_maker(context), context.get("keep") or (), dry_run=dry_run)
    gone = {item.image.folder for item in swept.removed}
    rows = tuple(
        (
            *(item.image.environment, size(item.size_bytes), _age(item.image.seal.built, context.world.now())),
            _fate(item, is_gone=item.image.folder in gone, dry_run=dry_run),
        )
        for item in swept.verdicts
    )
    can_go = sum(item.size_bytes for item in swept.verdicts if not item.kept_by) + swept.leftovers.size_bytes
    summary = f"{size(can_go)} can go" if dry_run else f"{size(swept.won_bytes)} are free again"
    return Answer(
        kind="ImageCollection",
        data={
            "dryRun": dry_run,
            "freedBytes": swept.won_bytes,
            "images": [
                {
                    "environment": item.image.environment,
                    "folder": str(item.image.folder),
                    "sizeBytes": item.size_bytes,
                    "keptBy": list(item.kept_by),
                    "removed": item.image.folder in gone,
                }
                for item in swept.verdicts
            ],
            "leftovers": [str(folder) for folder in swept.leftovers.folders],
        },
        blocks=(Table(("environment", "size", "built", "what becomes of it"), rows, empty="No images."), Text(summary)),
        next_commands=("ncap environment gc",) if dry_run and can_go else (),
    )


def _fate(item: Verdict, *, is_gone: bool, dry_run: bool) -> str:
    if item.kept_by:
        return "kept: " + ", ".join(item.kept_by)
    if dry_run:
        return "would go"
    return "removed" if is_gone else "kept: in use just now"


def _document(item: ListedEnvironment) -> dict[str, object]:
    return {
        "name": item.name,
        "environment": item.environment,
        "pinned": item.is_pinned,
        "folder": None if item.folder is None else str(item.folder),
        "sizeBytes": item.size_bytes,
        "built": item.built,
    }


def _image(item: ListedEnvironment) -> str:
    return "not built" if item.size_bytes is None else size(item.size_bytes)


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _age(built: str | None, now: datetime) -> str:
    if built is None:
        return ""
    seconds = (now - datetime.fromisoformat(built)).total_seconds()
    if seconds < _HOUR_S:
        return f"{max(0, seconds) / 60:.0f} min ago"
    return f"{seconds / _HOUR_S:.0f} h ago" if seconds < _DAY_S else f"{seconds / _DAY_S:.0f} days ago"
