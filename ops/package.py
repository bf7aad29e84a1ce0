"""The folder of `make package`, from which `make deploy PREBUILT=FOLDER` deploys without Rust."""

import hashlib

from ops import CommandError

CHECKSUMS = "SHA256SUMS"
# What the make targets read.
FILES = {"template.yaml", "lake.yaml", "push-function.zip", "board-function.zip", "compact-function.zip", "smartclean-push"}
NEXT_STEP = "copy the folder of the release again. Without PREBUILT, make builds these files from this folder, and needs Rust."


def verify(folder):
    """Raises CommandError if a file is missing, or differs from what `make package` wrote."""
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CommandError(f"PREBUILT={folder} is not a folder of make package: {CHECKSUMS} cannot be read: {error.strerror}.", NEXT_STEP) from None
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted(FILES | expected.keys()):
        try:
            actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise CommandError(f"{folder / name} cannot be read: {error.strerror}.", NEXT_STEP) from None
        if actual != expected.get(name):
            raise CommandError(f"{folder / name} is damaged: its SHA-256 is {actual}, and {CHECKSUMS} has {expected.get(name)}.", NEXT_STEP)
