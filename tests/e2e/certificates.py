"""Authorities and certificates for localhost, made by the openssl of this machine."""

import os
import subprocess

from conftest import PATIENCE


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=PATIENCE)


def make_authority(folder, name="ca"):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")


def make_certificate(folder, name, authority="ca", days=90, hosts="DNS:localhost,IP:127.0.0.1"):
    """NAME.crt and NAME.key, in the place of those there were; with days of -1 it has expired."""
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key.new", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "extensions").write_text(f"subjectAltName={hosts}\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", str(days), "-extfile", "extensions", "-out", f"{name}.crt.new")
    (folder / f"{name}.key.new").chmod(0o600)
    for suffix in ("key", "crt"):
        os.replace(folder / f"{name}.{suffix}.new", folder / f"{name}.{suffix}")
