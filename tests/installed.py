#!/usr/bin/env python3
"""Looks at what `cmake --install` put under a root: everything that a distribution expects is there,
the programs run, the man pages are clean.

  installed.py ROOT"""

import pathlib
import subprocess
import sys

EXPECTED = [
    "usr/local/bin/kpid",
    "usr/local/bin/kpictl",
    "usr/local/bin/kpiload",
    "usr/local/lib/systemd/system/kpid.service",
    "usr/local/lib/systemd/system/kpid.socket",
    "usr/local/lib/sysusers.d/kpid.conf",
    "usr/local/share/man/man8/kpid.8",
    "usr/local/share/man/man1/kpictl.1",
    "usr/local/share/man/man1/kpiload.1",
    "usr/local/share/man/man5/kpid.yaml.5",
    "usr/local/share/doc/kpid/examples/kpid.yaml",
    "usr/local/share/kpid/kpid.schema.json",
    "usr/local/include/kpid_client.h",
    "usr/local/lib/libkpid-client.a",
    "usr/local/lib/libkpid-client.so",
    "usr/local/lib/libkpid-client.so.0",
    "usr/local/lib/pkgconfig/kpid-client.pc",
]


def not_hardened(program):
    """What of PIE, full RELRO, stack protector and _FORTIFY_SOURCE a program lacks."""
    def told(*options):
        return subprocess.run(["readelf", "-W", *options, program], capture_output=True, text=True, check=True).stdout

    if "DYN" not in told("-h"):
        yield "not position independent"
    if "GNU_RELRO" not in told("-l") or "NOW" not in told("-d"):
        yield "no full RELRO"
    symbols = told("--dyn-syms")
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    if "_chk@" not in symbols.replace("__stack_chk_fail@", ""):
        yield "no _FORTIFY_SOURCE"


def main():
    root = pathlib.Path(sys.argv[1])
    wrong = [f"missing: {path}" for path in EXPECTED if not (root / path).is_file()]
    if wrong:
        print("\n".join(wrong))
        return 1
    for program in ("kpid", "kpictl", "kpiload"):
        path = root / "usr/local/bin" / program
        subprocess.run([path, "--version"], check=True)
        wrong += [f"{program} is not hardened: {what}" for what in not_hardened(path)]
    for page in root.glob("usr/local/share/man/man*/*"):
        lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], capture_output=True, text=True, check=False)
        if lint.returncode:
            wrong.append(lint.stdout + lint.stderr)
    for name in ("kpid.service", "kpid.socket"):
        unit = root / "usr/local/lib/systemd/system" / name
        if "@CMAKE" in unit.read_text():
            wrong.append(f"{unit}: a name was not filled in")
        verify = subprocess.run(["systemd-analyze", "verify", "--root", root, unit], capture_output=True, text=True,
                                check=False)
        mistakes = ("Unknown", "Failed to parse", "Invalid", "ignoring", "not loaded")
        wrong += [line for line in verify.stderr.splitlines() if any(word in line for word in mistakes)]
    print("\n".join(wrong) if wrong else f"{len(EXPECTED)} files are in their places")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
