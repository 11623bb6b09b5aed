"""Recognizes files that must not get into a package by accident: this program's databases, keys, credentials.

It goes by name in upper or lower case, and by content whatever the name. It looks into compressed files and zip files,
because backups are kept in them. It judges a Python file by content alone, and needs more proof: the file may be a
module that reads keys.
"""

import bz2
import fnmatch
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

DATABASE = "a database of asyncjob"
JOURNAL = "a database's log"
KEY = "a private key"
CREDENTIALS = "credentials"
BY_NAME = ""  # the name says it all
NOT_PLAIN = "not a plain file"

CHUNK = 1 << 20
OVERLAP = 1_024  # bytes of the previous chunk in which a match may begin
MAX_MEMBERS = 10_000  # of a zip file
MAX_CHUNKS = 256  # more than Lambda takes; a compressed file may never end

NAMES = (
    *(".*", "*.env", "*.env.*", "jobs.db*", "*.db.lock"),
    *("*.key", "*.p8", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.jceks", "*.bks", "*.keystore", "*.kdb", "*.kdbx"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *(
        "credentials",
        "credentials.*",
        "*[-_.]credentials.json",
        "client_secret*.json",
        "service[-_]account*.json",
        "*accesskeys.csv",
    ),
    *("secrets.json", "secrets.yaml", "secrets.yml", "secrets.toml", "secrets.ini", "secrets.txt", "secrets.env"),
    *("*.tfstate", "*.tfstate.*", "*.tfvars", "*.tfvars.json", "kubeconfig", "*.kubeconfig"),
    *("netrc", "_netrc", "htpasswd", "*.htpasswd", "*.ovpn"),
    *("*.db-*", "*.db3-*", "*.sqlite-*", "*.sqlite3-*"),
)
"""Of files that tend to be secret; in lower case."""

COMPRESSED = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile}

# PKCS#8 and PKCS#1, SEC1, PKCS#12, each in DER; then PuTTY, JKS, JCEKS, KeePass.
BEGINS_KEY = re.compile(
    rb"0(?:[\x00-\x80]|\x81.|\x82..|\x83...)\x02\x01(?:\x00[0\x02]|\x01[0\x04]|\x030)"
    rb"|PuTTY-User-Key-File-|\xfe\xed\xfe\xed|\xce\xce\xce\xce|\x03\xd9\xa2\x9a[\x65-\x67]",
    re.DOTALL,
)
# It only looks like an archive, is damaged, or needs a password.
UNREADABLE = (EOFError, zlib.error, lzma.LZMAError, OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
SQLITE = b"SQLite format 3\0"
HOLDS_DATABASE = re.compile(
    SQLITE + rb".{52}JOBS", re.DOTALL
)  # the application_id, at offset 68; anywhere, as in a tar
BEGINS_JOURNAL = re.compile(
    rb"\x37\x7f\x06[\x82\x83]|\xd9\xd5\x05\xf9\x20\xa1\x63\xd7|\x18\xe2\x2d\0\0{4}|\0\x2d\xe2\x18\0{4}"
)
HOLDS_KEY = re.compile(rb"-{4}[- ]BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?[- ]-{4}|AGE-SECRET-KEY-1[A-Z0-9]{20}")
IS_PUBLIC = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}(?:CERTIFICATE|PUBLIC KEY)[A-Z0-9 ]{0,40}-----")

HOLDS_CREDENTIALS = tuple(
    tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)
    for patterns in (
        (rb"""(?i)aws_secret_access_key["']?\s*[=:]\s*["']?[^\s"'<$]""",),
        (rb"""(?i)"SecretAccessKey"\s*:\s*"[^"]""",),
        (rb"(?i)access key id,\s*secret access key",),
        (rb'"type"\s*:\s*"(?:service_account|authorized_user)"', rb'"(?:private_key|refresh_token)"\s*:'),
        (rb'"client_secret"\s*:\s*"[^"]',),
        (rb'"terraform_version"\s*:', rb'"(?:serial|lineage)"\s*:'),
        (rb"""^["' {]*kind["']?\s*:\s*["']?Config\b""", rb"""^[-"' {]*users["']?\s*:"""),
        (rb"^(?://\S+:)?_(?:authToken|auth|password)\s*=\s*[^\s$]",),
        (rb"^\[(?:distutils|pypi|testpypi)\]", rb"^\s*password\s*[=:]"),
        (rb"^https?://[^/\s:@]+:[^/\s@]+@\S+\s*$",),
        (rb"^\s*(?:machine\s+\S+|default)\s+(?:login\s+\S+\s+)?(?:account\s+\S+\s+)?password\s+\S",),
        (rb"^[^:\s]{1,255}:(?:\$apr1\$|\$2[abxy]\$|\$[1567y]\$|\{SHA\})",),
        (rb'"auths"\s*:\s*\{', rb'"(?:auth|identitytoken)"\s*:\s*"[^"]'),
    )
)
"""What files of credentials hold; of each line, all: of AWS, of Google, Terraform's state, of Kubernetes, npm, PyPI,
git, netrc, htpasswd, Docker."""

MODULE_HOLDS = {
    KEY: re.compile(
        rb"""PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|["'])*[A-Za-z0-9+/]{40}|AGE-SECRET-KEY-1[A-Z0-9]{20}"""
    ),
    CREDENTIALS: re.compile(rb"""(?i)aws_secret_access_key["']?\]?\s*[=:]\s*["'][A-Za-z0-9/+]{40}["']"""),
}
"""The same of a Python file, where a mere name of such things is code."""


def private(file: Path) -> str | None:
    """What makes a file private: None if nothing does, BY_NAME if its name does.

    Raises:
        OSError: it cannot be read.
    """
    name = file.name.casefold()
    if not file.is_file():  # a pipe would block, a device may never end
        return NOT_PLAIN
    if name.endswith(".py") and not name.startswith("."):
        texts = (chunk for _, chunk in _chunks(file))
        return next((kind for text in texts for kind, holds in MODULE_HOLDS.items() if holds.search(text)), None)
    public = False
    for is_first, chunk in _chunks(file):
        found = _holds(chunk) or _credentials(chunk) or (_begins(chunk) if is_first else None)
        if found:
            return found
        public = public or IS_PUBLIC.search(chunk) is not None
    if any(is_private_name(member) for member in _members(file)):
        return "a zip file with such a file in it"
    if is_private_name(name) or (name.endswith(".pem") and not public):
        return BY_NAME
    return None


def is_private_name(name: str) -> bool:
    """Whether files of this name tend to be secret."""
    return any(fnmatch.fnmatchcase(name.casefold(), pattern) for pattern in NAMES)


def _begins(chunk: bytes) -> str | None:
    if BEGINS_JOURNAL.match(chunk):
        return JOURNAL
    return KEY if BEGINS_KEY.match(chunk) else None


def _holds(chunk: bytes) -> str | None:
    if SQLITE in chunk and HOLDS_DATABASE.search(chunk):
        return DATABASE
    there = b"PRIVATE KEY" in chunk or b"AGE-SECRET-KEY-1" in chunk  # quicker than the expression
    return KEY if there and HOLDS_KEY.search(chunk) else None


def _credentials(chunk: bytes) -> str | None:
    found = any(all(each.search(chunk) for each in patterns) for patterns in HOLDS_CREDENTIALS)
    return CREDENTIALS if found else None


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _chunks(file: Path) -> Iterator[tuple[bool, bytes]]:
    """The content piece by piece, each after the end of the previous one, and whether it is the first.

    Of a compressed file what is in it follows, likewise.
    """
    with file.open("rb") as plain:
        head = plain.read(CHUNK)
        yield True, _text(head)
        opener = next((opener for magic, opener in COMPRESSED.items() if head.startswith(magic)), None)
        if opener is None:
            yield from _rest(plain, head)
            yield from _zipped(file)
            return
    try:
        with opener(file) as unpacked:
            head = unpacked.read(CHUNK)
            yield True, _text(head)
            yield from _rest(unpacked, head)
    except UNREADABLE:
        return  # it only looks like one, or is damaged: nobody can read further


def _zipped(file: Path) -> Iterator[tuple[bool, bytes]]:
    """The content of each member of a zip file, if it is one whose members can be read."""
    if not zipfile.is_zipfile(file):
        return
    with suppress(*UNREADABLE), zipfile.ZipFile(file) as archive:
        for member in archive.infolist()[:MAX_MEMBERS]:
            with suppress(*UNREADABLE), archive.open(member) as unpacked:
                head = unpacked.read(CHUNK)
                yield True, _text(head)
                yield from _rest(unpacked, head)


def _members(file: Path) -> list[str]:
    """The names in a zip file, without folders."""
    if zipfile.is_zipfile(file):
        with suppress(*UNREADABLE), zipfile.ZipFile(file) as archive:
            return [name.rpartition("/")[2] for name in archive.namelist()[:MAX_MEMBERS]]
    return []


def _rest(file: _Readable, before: bytes) -> Iterator[tuple[bool, bytes]]:
    for _ in range(MAX_CHUNKS):
        if not (chunk := file.read(CHUNK)):
            return
        yield False, before[-OVERLAP:] + chunk
        before = chunk


def _text(chunk: bytes) -> bytes:
    """UTF-16, as Windows writes it, with a mark or without, as ASCII."""
    begin = chunk[:200]
    every_other = max(begin[::2].count(0), begin[1::2].count(0)) * 2 > 0.9 * len(begin)
    marked = begin.startswith((b"\xff\xfe", b"\xfe\xff"))
    return chunk.replace(b"\0", b"") if marked or every_other else chunk
