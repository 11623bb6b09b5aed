"""Runs pip so that it starts no other program: what would be built from its sources fails, and nothing of it has run.

That is the one gate for whatever leads to a build: folders, archives of sources, `-e`, repositories, `--no-binary` in a
requirements file, and what the metadata of a wheel asks for by its address. `pip download` has no option that says it.
"""

import runpy
import sys

REFUSAL = "asyncjob build starts no program for pip"
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
KEYRING = "keyring"  # which pip may ask for the password of an index


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and not (event == "subprocess.Popen" and _is_keyring(arguments)):
        raise OSError(REFUSAL)  # which pip takes for no other error than it is


def _is_keyring(arguments: tuple[object, ...]) -> bool:
    command = arguments[1]
    return isinstance(command, list) and bool(command) and str(command[0]).rpartition("/")[2] == KEYRING


if __name__ == "__main__":
    sys.addaudithook(_refuse)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
