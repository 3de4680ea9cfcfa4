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
    "usr/local/lib/sysusers.d/kpid.conf",
    "usr/local/share/man/man8/kpid.8",
    "usr/local/share/man/man1/kpictl.1",
    "usr/local/share/man/man1/kpiload.1",
    "usr/local/share/man/man5/kpid.yaml.5",
    "usr/local/share/doc/kpid/examples/kpid.yaml",
    "usr/local/share/kpid/kpid.schema.json",
]


def main():
    root = pathlib.Path(sys.argv[1])
    wrong = [f"missing: {path}" for path in EXPECTED if not (root / path).is_file()]
    if wrong:
        print("\n".join(wrong))
        return 1
    for program in ("kpid", "kpictl", "kpiload"):
        subprocess.run([root / "usr/local/bin" / program, "--version"], check=True)
    for page in root.glob("usr/local/share/man/man*/*"):
        lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], capture_output=True, text=True, check=False)
        if lint.returncode:
            wrong.append(lint.stdout + lint.stderr)
    unit = root / "usr/local/lib/systemd/system/kpid.service"
    text = unit.read_text()
    if "@" in text.replace("@system-service", ""):
        wrong.append(f"{unit}: a name was not filled in")
    print("\n".join(wrong) if wrong else f"{len(EXPECTED)} files are in their places")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
