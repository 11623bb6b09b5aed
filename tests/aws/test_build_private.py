"""What `asyncjob build` never takes along by accident, whatever it is called; and what it takes on purpose."""

import gzip
import io
import os
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncjob.sqlite.backup import backup
from asyncjob.sqlite.database import Database
from tests.aws.user import SOURCE, Build, own, refused


def _zip(**members: str | bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"

BY_CONTENT: dict[str, str | bytes] = {
    "pkcs8.txt": PEM,
    "pkcs1.bin": PEM.replace("PRIVATE", "RSA PRIVATE"),
    "encrypted.conf": PEM.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    "openssh": PEM.replace("PRIVATE", "OPENSSH PRIVATE"),
    "pgp.asc": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
    "ssh2": "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n",
    "bundle.pem": CERTIFICATE * 10_000 + PEM,
    "crossing.dat": "x" * ((1 << 20) - 10) + PEM,
    "windows.txt": PEM.encode("utf-16"),
    "packed.dat": gzip.compress(PEM.encode()),
    "zipped.dat": _zip(notes="x" * 2_000_000 + PEM),
    "names.zip": _zip(**{"keys/SERVER.KEY": "x"}),
    "unmarked.txt": PEM.encode("utf-16-le"),
    "long.ini": "x" * (1 << 20) + "\naws_secret_access_key = x\n",
    "putty": "PuTTY-User-Key-File-3: ssh-ed25519\n",
    "age.txt": "# created: 2024\nAGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L\n",
    "pkcs12.dat": b"0\x82\x09\x00\x02\x01\x030\x82",
    "der.dat": b"0\x82\x04\xbd\x02\x01\x000\x0d\x06\x09",
    "sec1.dat": b"0w\x02\x01\x01\x04\x20",
    "java.dat": b"\xfe\xed\xfe\xed\0\0\0\x02",
    "google.json": '{"type": "service_account", "private_key": "x"}',
    "aws.ini": "[default]\naws_secret_access_key = x\n",
    "AWS.json": '{"Credentials": {"SecretAccessKey": "x"}}',
    "console.csv": "Access key ID,Secret access key\nAKIA,x\n",
    "state.json": '{"version": 4, "terraform_version": "1.9", "serial": 1}',
    "cluster.yaml": "apiVersion: v1\nkind: Config\nusers:\n- name: me\n",
    "npm.ini": "//registry.npmjs.org/:_authToken=npm_x\n",
    "pypi.ini": "[pypi]\nusername = me\npassword = x\n",
    "git.txt": "https://me:secret@example.com\n",
    "machines": "machine example.com login me password x\n",
    "users.txt": "me:$apr1$abc$def\n",
    "docker.json": '{"auths": {"example.com": {"auth": "eDp5"}}}',
}
BY_NAME = (
    *(
        "SERVER.KEY",
        "server.Key",
        "id_ecdsa",
        "ID_ED25519",
        "id_dsa.old",
        ".env",
        ".env.local",
        "prod.ENV",
        "prod.env.bak",
    ),
    *(
        "credentials.json",
        "db_credentials.json",
        "Credentials",
        "secrets.txt",
        "client_secret_1.json",
        "service-account.json",
        "secrets.yaml",
    ),
    *("terraform.tfstate", "terraform.tfstate.backup", "prod.tfvars", "a.tfvars.json", ".netrc", "_netrc", ".npmrc"),
    *(".pypirc", ".git-credentials", "kubeconfig", ".htpasswd", "web.htpasswd", "store.jks", "release.keystore"),
    *("a.p12", "A.PFX", "a.ppk", "passwords.kdbx", "server.pem", "jobs.db.lock", "jobs.sqlite-shm"),
)
PUBLIC: dict[str, str | bytes] = {
    "ca.pem": CERTIFICATE,
    "public.pem": PEM.replace("PRIVATE", "PUBLIC"),
    "root.crt": CERTIFICATE,
    "keys.md": "Begin it with BEGIN, then PRIVATE KEY.\n",
    "monkey.json": '{"type": "account", "key": "x"}',
    "text.zip": _zip(plain="plain"),
    "broken.zip": _zip(plain="plain" * 1_000)[:-10],
    "text.gz": gzip.compress(b"plain"),
    "broken.gz": b"\x1f\x8b\x08\x00rest",
    "reads_keys.py": 'MARK = "-----BEGIN PRIVATE KEY-----"\nkey = dict(aws_secret_access_key="x")\n',
    "empty": b"",
}


@pytest.fixture
def shop(mine: Path) -> Path:
    """A package of the user's, which is taken whole."""
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text(SOURCE)
    return mine / "shop"


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _taken(build: Build, mine: Path, *arguments: str) -> tuple[set[str], str]:
    done = build(*arguments, target="shop")
    assert done.returncode == 0, done.stderr
    return {name.removeprefix("shop/") for name in own(mine)} - {"__init__.py"}, done.stdout


def test_secrets_are_recognised_by_content_and_what_is_public_is_taken(build: Build, mine: Path, shop: Path) -> None:
    _write(shop, BY_CONTENT | PUBLIC)
    taken, said = _taken(build, mine)
    assert taken == set(PUBLIC)
    assert f"({len(BY_CONTENT)} in all)\n" in said
    assert "left out     shop/AWS.json (credentials), shop/age.txt (a private key), " in said


def test_secrets_are_recognised_by_name_whatever_the_case(build: Build, mine: Path, shop: Path) -> None:
    _write(shop, dict.fromkeys(BY_NAME, ""))
    taken, said = _taken(build, mine)
    assert taken == set()
    assert f"({len(BY_NAME)} in all)\n" in said


@contextmanager
def _database(file: Path) -> Iterator[None]:
    """A database of a server that runs, with its log beside it."""
    database = Database(file)
    with database.connect() as connection:
        connection.execute("CREATE TABLE more (x)")
        yield
    connection.close()
    database.close()


def test_databases_of_jobs_are_recognised_whatever_they_are_called(build: Build, mine: Path, shop: Path) -> None:
    with _database(mine / "live.db"):
        backup(mine / "live.db", shop / "jobs-2024-06-06.db", lambda copied, pages: None)
        (shop / "catalog.bin").write_bytes((shop / "jobs-2024-06-06.db").read_bytes())
        for end in ("-wal", "-shm"):
            (shop / f"data{end}").write_bytes((mine / f"live.db{end}").read_bytes())
    content = (shop / "catalog.bin").read_bytes()
    (shop / "old.gz").write_bytes(gzip.compress(content))
    with tarfile.open(shop / "all.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("jobs")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    (shop / "rolled").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
    with sqlite3.connect(shop / "prices.db") as prices:
        prices.execute("CREATE TABLE prices (x)")
    prices.close()
    taken, said = _taken(build, mine)
    assert taken == {"prices.db"}  # one that is somebody's own to read
    assert "shop/catalog.bin (a database of asyncjob), shop/data-shm (a database's log)" in said
    line = refused(build("--include", "shop/catalog.bin", target="shop"))
    assert line == "--include shop/catalog.bin: it is a database of asyncjob, which is never packed"


def test_what_is_no_plain_file_of_the_package_is_neither_followed_nor_read(
    build: Build, mine: Path, shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("x")
    (shop / "inside.txt").write_text("x")
    (shop / "file").symlink_to(tmp_path / "outside" / "secret.txt")
    (shop / "folder").symlink_to(tmp_path / "outside")
    (shop / "late.py").symlink_to(tmp_path / "outside" / "gone.py")
    (shop / "loop").symlink_to("loop")
    (shop / "linked").symlink_to("inside.txt")
    os.mkfifo(shop / "pipe")
    os.mkfifo(shop / "pipe.py")
    (shop / "device").symlink_to("/dev/zero")
    taken, said = _taken(build, mine)
    assert taken == {"inside.txt", "linked"}
    for name in ("device", "file", "folder", "late.py", "loop", "pipe", "pipe.py"):
        assert f"shop/{name} (" in said
    assert "shop/pipe (not a plain file), shop/pipe.py (not a plain file)" in said


def test_a_module_that_holds_a_key_is_an_error_since_it_cannot_be_left_out(
    build: Build, mine: Path, shop: Path
) -> None:
    (shop / "signing.py").write_text(f'KEY = """{PEM}"""\n')
    line = refused(build(target="shop"))
    assert line.startswith("shop/signing.py holds a private key: keep that in Secrets Manager or Parameter Store")
    (shop / "signing.py").write_text(f"AWS_SECRET_ACCESS_KEY = '{'a' * 40}'\n")
    assert refused(build(target="shop")).startswith("shop/signing.py holds credentials")
    taken, _ = _taken(build, mine, "--include", "shop/signing.py")
    assert taken == {"signing.py"}


def test_what_would_be_left_out_is_taken_on_purpose(build: Build, mine: Path, shop: Path, tmp_path: Path) -> None:
    (shop / ".well-known").mkdir()
    _write(shop, {".well-known/list.txt": "", "test.key": PEM, "other.key": PEM})
    taken, said = _taken(build, mine, "--include", "shop/test.key", "--include", "shop/.well-known/list.txt")
    assert taken == {".well-known/list.txt", "test.key"}
    assert "left out     shop/.well-known, shop/other.key (a private key)\n" in said
    (mine / "data.csv").write_text("")
    done = build("--include", "data.csv")  # beside a target that is a file
    assert done.returncode == 0, done.stderr
    assert own(mine) == {"jobs.py", "data.csv"}
    (tmp_path / "outside.txt").write_text("")
    (mine / "link.txt").symlink_to(tmp_path / "outside.txt")
    for name in ("nowhere.csv", "../outside.txt", str(tmp_path / "outside.txt"), "link.txt", "shop"):
        assert refused(build("--include", name)).startswith(f"--include {name}: there is no such file in ")


def test_a_name_does_not_break_the_list(build: Build, mine: Path, shop: Path) -> None:
    (shop / "a\x1b[2J\nb.key").write_text("")
    _, said = _taken(build, mine)
    assert "left out     shop/a?[2J?b.key\n" in said
