"""Finds and runs the clients that people have: Debian's programs, and packages of npm.

tools/install-packages installs the programs; the packages of npm that tests/clients/package-lock.json
pins are installed here, once for each state of that file, beside the build folders."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import BUILD, ROOT

CLIENTS = ROOT / "tests" / "clients"
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT", "ENOTCACHED")


def program(name):
    """The path of a program that has to be there."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        pytest.fail(f"there is no {name}: run tools/install-packages test")
    return found


def compile_unix_dgram(folder):
    """For Node's Unix datagrams, with the headers that are here. Tests that need it look whether there is one."""
    prefix = pathlib.Path(program("node")).resolve().parents[1]
    headers = [f"--nodedir={prefix}"] if (prefix / "include" / "node" / "node.h").exists() else []
    subprocess.run([program("npm"), "rebuild", "unix-dgram", *headers], cwd=folder, capture_output=True, timeout=300,
                   check=False)


def packages():
    """The folder of node_modules. Installed once; without a network the tests that need it are skipped."""
    lock = (CLIENTS / "package-lock.json").read_bytes()
    home = BUILD.parent / "clients" / hashlib.sha256(lock + b"unix-dgram").hexdigest()[:16]
    if (home / "node_modules").is_dir():
        return home / "node_modules"
    home.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as made:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENTS / name, made)
        done = subprocess.run([program("npm"), "ci", "--include=optional", "--ignore-scripts", "--prefer-offline",
                               "--no-audit", "--no-fund", "--fetch-retries=1"],
                              cwd=made, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            unreachable = [word for word in NO_NETWORK if word in done.stderr]
            if unreachable:
                pytest.skip(f"npm reaches no registry ({unreachable[0]}), and the packages were never installed")
            pytest.fail(f"npm ci failed: {done.stderr}")
        compile_unix_dgram(made)
        if not home.exists():  # another run may have been quicker
            shutil.copytree(made, home, symlinks=True)
    return home / "node_modules"


def node(script, *arguments):
    """Runs one of tests/clients; what it printed."""
    done = subprocess.run([program("node"), CLIENTS / script, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "NODE_PATH": str(packages())})
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


class Program:
    """A server program that runs while it is needed, with its output in a file."""

    def __init__(self, folder, name, *arguments):
        self.command = [program(name), *map(str, arguments)]
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *what):
        self.stop()
