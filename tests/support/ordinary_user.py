"""Runs Python as an ordinary user on a machine that refuses user namespaces.

``python ordinary_user.py ARGUMENTS...`` runs ``python ARGUMENTS...`` as under Docker's default
seccomp profile, in a pod, or on Ubuntu since 23.10: uid 10001, no ``unshare``, no
``clone(CLONE_NEWUSER)``, and 200 threads of other programs of the same user. For a caller who is
not root the uid stays as it is. What that uid could not read (an interpreter or a checkout below a
folder of root's) is linked or copied to a temporary place first.
"""

import compileall
import ctypes
import errno
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

UID = 10_001
NUM_OTHER_THREADS = 200
_CLONE_NEWUSER = 0x1000_0000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_UNSHARE_CLONE_CLONE3 = {"x86_64": (272, 56, 435), "aarch64": (97, 220, 435)}
_NOT_NEEDED = {"site-packages", "test", "idlelib", "ensurepip"}


@contextmanager
def public_folder():
    """Make a folder that every user can read, with a ``tmp`` in it that every user can write."""
    place = Path(tempfile.mkdtemp(prefix="provost-test-"))
    try:
        place.chmod(0o755)
        (place / "tmp").mkdir()
        (place / "tmp").chmod(0o1777)
        yield place
    finally:
        shutil.rmtree(place)


def is_readable(path):
    """Return whether every user can read a file or folder and reach it."""
    real = path.resolve()
    reachable = all(parent.stat().st_mode & 0o001 for parent in real.parents)
    return reachable and bool(real.stat().st_mode & 0o004)


def readable_python(place):
    """Return the path of this interpreter, or of a copy in ``place`` that every user can read."""
    if is_readable(Path(sys.executable)):
        return sys.executable
    home = Path(sys.base_prefix)
    original = Path(sys.executable).resolve()
    link_tree(home / "lib", place / "python" / "lib")
    copy = place / "python" / "bin" / original.name
    copy.parent.mkdir()
    # It may name the folder of its library: a text of fixed length in the program.
    folder = os.fsencode(home / "lib") + b"\0"
    copy.write_bytes(
        original.read_bytes().replace(folder, b"$ORIGIN/../lib".ljust(len(folder), b"\0"))
    )
    copy.chmod(0o755)
    return str(copy)


def readable_packages(place):
    """Return the folders of installed packages, or copies that every user can read."""
    found = [Path(entry) for entry in sys.path if Path(entry).name == "site-packages"]
    for index, packages in enumerate(found):
        if not is_readable(packages):
            link_tree(packages, place / f"packages{index}", skip=())
            found[index] = place / f"packages{index}"
    return [str(packages) for packages in found]


def link_tree(source, target, skip=_NOT_NEEDED):
    """Copy a folder by hard links; a file that others cannot read, or elsewhere, by its bytes."""
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name not in skip]
        into = target / Path(folder).relative_to(source)
        into.mkdir(parents=True)
        for name in files:
            copy_file(Path(folder, name).resolve(), into / name)


def copy_file(source, target):
    """Make a file readable at another place, without a copy of its bytes where possible."""
    mode = source.stat().st_mode
    if mode & 0o004:
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or one without hard links
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o755 if mode & 0o100 else 0o644)


def copy_checkout(place):
    """Copy this checkout's files to ``place``; return the folder."""
    top = Path(__file__).resolve().parents[2]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=top,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        target = place / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (top / name).is_file():
            copy_file(top / name, target)
    compileall.compile_dir(place / "checkout" / "tasks", quiet=1)  # the user cannot, and waits
    return place / "checkout"


def run(arguments, *, packages, place, cwd, python, **options):
    """Run ``python arguments`` as said above; as ``subprocess.run``."""
    scripts = os.environ.get("MONTY_BIN") or f"{sysconfig.get_path('scripts')}/monty"
    copy_file(Path(scripts).resolve(), place / "monty")
    program = place / "ordinary_user.py"
    if not program.exists():
        copy_file(Path(__file__), program)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(packages),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MONTY_BIN": str(place / "monty"),
        "OMP_NUM_THREADS": "1",
        **dict.fromkeys(("TMPDIR", "HOME"), str(place / "tmp")),
        **dict.fromkeys(("USER", "LOGNAME"), "provost"),
    }
    command = [python, "-S", str(program), "--in-place", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, check=False, **options)


def run_in_place(arguments):
    """Become the user, have the other threads run, and run Python; return its exit status."""
    become_ordinary_user()
    refuse_namespaces()
    if arguments == ["--hold-threads"]:
        hold_threads()
        return 0
    with subprocess.Popen(
        [sys.executable, "-S", __file__, "--in-place", "--hold-threads"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as others:
        assert others.stdout.readline() == b"ready\n"
        return subprocess.run([sys.executable, "-S", *arguments], check=False).returncode


def become_ordinary_user():
    """Give up root for good, where this process has it."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)


def refuse_namespaces():
    """Refuse user namespaces to this process and its children, as a container's runtime does."""
    unshare, clone, clone3 = _UNSHARE_CLONE_CLONE3[os.uname().machine]
    allow, refuse = (0x06, 0, 0, 0x7FFF_0000), (0x06, 0, 0, 0x0005_0000 | errno.EPERM)
    program = [
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 1, unshare),
        refuse,
        (0x15, 0, 1, clone3),  # its flags are in memory, where a filter cannot look
        (0x06, 0, 0, 0x0005_0000 | errno.ENOSYS),
        (0x15, 1, 0, clone),
        allow,
        (0x20, 0, 0, 16),  # load the flags
        (0x45, 0, 1, _CLONE_NEWUSER),
        refuse,
        allow,
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    whole = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, whole, 0, 0) == 0
    assert libc.unshare(_CLONE_NEWUSER) == -1


def hold_threads():
    """Keep many threads until standard input closes: the user's browser."""
    end = threading.Event()
    for _ in range(NUM_OTHER_THREADS):
        threading.Thread(target=end.wait, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


def main(arguments):
    """Run Python in a copy of this checkout; return its exit status."""
    if arguments[:1] == ["--in-place"]:
        return run_in_place(arguments[1:])
    with public_folder() as place:
        checkout = copy_checkout(place)
        return run(
            arguments,
            packages=readable_packages(place),
            place=place,
            cwd=checkout,
            python=readable_python(place),
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
