"""code.zip: the same input gives the same bytes, so that what has not changed is not deployed again.

Names are sorted, times and modes are fixed, and nothing is compiled on the way. (Another Python's zlib may compress
differently; the unpacked files are the same.)
"""

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_UNZIPPED_BYTES = 262_144_000
"""The most that Lambda unpacks. Its 50 MB limit for a zip applies to direct uploads; this one comes from a bucket."""
LARGEST_SHOWN = 5
EPOCH = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """The package cannot be built; the message says why, and what to do."""


@dataclass(frozen=True)
class Part:
    """A file that goes into the zip.

    Attributes:
        name: its path there.
        origin: where it comes from, to tell people: a distribution, or the user's own file.
        size: in bytes.
        executable: whether it is a program.
        read: its content.
    """

    name: str
    origin: str
    size: int
    executable: bool
    read: Callable[[], bytes]


def part(name: str, file: Path, origin: str) -> Part:
    """A file on the disk as a part."""
    status = file.stat()
    return Part(name, origin, status.st_size, bool(status.st_mode & 0o100), file.read_bytes)


def write_zip(target: Path, parts: Iterable[Part]) -> int:
    """Write the zip.

    Returns:
        Its size in bytes, unpacked.

    Raises:
        BuildError: a name leads out of the zip, a file and a folder share a name, two parts with different content
            share a name, or the whole exceeds Lambda's limit.
    """
    by_name: dict[str, Part] = {}
    for each in parts:
        if not _is_below(each.name):
            raise BuildError(f"{each.origin} has a file whose name leads out of the package: {each.name!r}")
        other = by_name.setdefault(each.name, each)
        if other is not each and other.read() != each.read():
            raise BuildError(f"{other.origin} and {each.origin} both have a file {each.name}: only one can be there")
    for folder in {str(folder) for name in by_name for folder in PurePosixPath(name).parents} & {*by_name}:
        raise BuildError(f"{by_name[folder].origin} has a file {folder}, which is a folder elsewhere in the package")
    size = sum(each.size for each in by_name.values())
    if size > MAX_UNZIPPED_BYTES:
        raise BuildError(_too_large(size, by_name.values()))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, each in sorted(by_name.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3  # Unix, on every machine
            info.external_attr = (0o100755 if each.executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, each.read())
    return size


def _is_below(name: str) -> bool:
    """Whether every unpacker puts it inside the folder that it unpacks to."""
    drive = re.match(r"[A-Za-z]:", name)
    return not drive and "\\" not in name and not {"", ".", ".."} & {*name.split("/")} and name.isprintable()


def megabytes(size: int) -> str:
    """A size for people, in MB as Lambda counts them."""
    return f"{size / 1_048_576:.1f} MB"


def _too_large(size: int, parts: Iterable[Part]) -> str:
    sizes = Counter[str]()
    for each in parts:
        sizes[each.origin] += each.size
    largest = ", ".join(f"{origin} {megabytes(count)}" for origin, count in sizes.most_common(LARGEST_SHOWN))
    return (
        f"the package is {megabytes(size)}, over Lambda's limit of {megabytes(MAX_UNZIPPED_BYTES)}; most is {largest}"
    )
