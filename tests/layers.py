#!/usr/bin/env python3
"""Fails on an include that points upwards, and on a third-party header away from its home.

The table is the one of the house style: a folder may include itself and what its row names."""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": [],
    "series": ["base"],
    "schedule": ["base"],
    "ingest": ["base", "series"],
    "store": ["base", "series"],
    "kpi": ["base", "series", "store", "schedule"],
    "alert": ["base", "store", "kpi"],
    "web": ["base", "series", "ingest", "store", "kpi", "alert"],
    "config": ["base", "series", "schedule", "ingest", "store", "kpi", "alert", "web"],
}

# What a folder's own headers bring with them (kpi.h includes series/metric.h) is not its choice.
HOMES = {
    r"lmdb\.h": ["store"],
    r"yaml\.h": ["config"],
    r"curl/.*": ["alert"],
    r"openssl/.*": ["alert", "ingest", "web"],
    r"glib.*": ["base"],
    r"event2/(http|keyvalq_struct).*": ["web"],
    r"xxhash\.h": ["series", "config", "store", "ingest"],
    r"http_parser\.h": ["ingest"],
    r"zlib\.h": ["ingest"],
    r"snappy-c\.h": ["ingest"],
    r"kpid\.pb-c\.h|protobuf-c/.*": ["ingest"],
    r"systemd/.*": ["app"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def folder_of(path, daemon):
    """The layer a file belongs to; app.c and main.c see it all."""
    relative = path.relative_to(daemon)
    return relative.parts[0] if len(relative.parts) > 1 else "app"


def mistakes_of(path, daemon):
    folder = folder_of(path, daemon)
    if folder != "app" and folder not in MAY_INCLUDE:
        yield f"{path}: folder '{folder}' is in no layer"
        return
    for match in INCLUDE.finditer(path.read_text()):
        own, system = match.groups()
        if own and "/" in own and folder != "app":
            other = own.split("/")[0]
            if other != folder and other not in MAY_INCLUDE[folder]:
                yield f"{path}: {folder}/ may not include '{own}'"
            if own.endswith("_private.h") and other != folder:
                yield f"{path}: '{own}' is private to {other}/"
        for pattern, homes in HOMES.items():
            if system and re.fullmatch(pattern, system) and folder not in homes:
                yield f"{path}: <{system}> belongs to {', '.join(homes)}"


def main():
    daemon = pathlib.Path(__file__).resolve().parent.parent / "daemon"
    if len(sys.argv) > 1:
        daemon = pathlib.Path(sys.argv[1]).resolve()
    files = sorted(daemon.rglob("*.[ch]"))
    found = [mistake for path in files for mistake in mistakes_of(path, daemon)]
    print("\n".join(found) if found else f"{len(files)} files keep the order of the layers")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
