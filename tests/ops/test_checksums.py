"""A folder of `make package` is verified before it is deployed."""

import hashlib

import pytest
from ops import CommandError, package


@pytest.fixture
def folder(tmp_path):
    """A folder whose files are as they were built."""
    for name in package.FILES:
        (tmp_path / name).write_text(f"the file {name}")
    write_checksums(tmp_path)
    return tmp_path


def write_checksums(folder):
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.iterdir()]
    (folder / package.CHECKSUMS).write_text("".join(sums))


def test_folder_as_it_was_built_is_accepted(folder):
    package.verify(folder)


@pytest.mark.parametrize("name", sorted(package.FILES))
def test_damaged_or_missing_file_is_refused_with_a_remedy(folder, name):
    (folder / name).write_text("damaged")
    with pytest.raises(CommandError, match=f"(?s){name} is damaged: its SHA-256 is [0-9a-f]{{64}}, .*What to do next: copy the folder of the release again"):
        package.verify(folder)
    (folder / name).unlink()
    with pytest.raises(CommandError, match=f"(?s){name} cannot be read: No such file.*What to do next: "):
        package.verify(folder)
    # A list that was made of the remaining files does not make them a package.
    (folder / package.CHECKSUMS).unlink()
    write_checksums(folder)
    with pytest.raises(CommandError, match=f"{name} cannot be read"):
        package.verify(folder)


def test_file_without_a_checksum_is_refused(folder):
    path = folder / package.CHECKSUMS
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "push-function.zip" not in line))
    with pytest.raises(CommandError, match="push-function.zip is damaged.* has None"):
        package.verify(folder)


@pytest.mark.parametrize("name", ["missing", "template.yaml"])
def test_other_folder_is_refused(folder, name):
    with pytest.raises(CommandError, match="is not a folder of make package: SHA256SUMS cannot be read"):
        package.verify(folder / name)
