"""Runs pip so that it cannot start any other program: a build from sources fails before any of its code has run.

This one gate covers everything that leads to a build: folders, source archives, `-e`, repositories, `--no-binary` in a
requirements file, and what a wheel's metadata asks for by address. `pip download` has no option for it.
"""

import runpy
import sys

REFUSAL = "asyncjob build starts no program for pip"
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
KEYRING = "keyring"  # pip may ask it for the password of an index


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and not (event == "subprocess.Popen" and _is_keyring(arguments)):
        raise OSError(REFUSAL)  # pip reports it as it is


def _is_keyring(arguments: tuple[object, ...]) -> bool:
    command = arguments[1]
    return isinstance(command, list) and bool(command) and str(command[0]).rpartition("/")[2] == KEYRING


if __name__ == "__main__":
    sys.addaudithook(_refuse)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
