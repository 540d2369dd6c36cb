"""A certificate authority of one's own, by the openssl command: certificates that are right, or wrong in one way."""

import pathlib
import ssl
import subprocess
import time

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*arguments, **more):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Certificate:
    def __init__(self, pem, key):
        self.pem, self.key = pem, key

    def facts(self, *what):
        return openssl("x509", "-in", self.pem, "-noout", *what).strip()

    def place(self, folder, name="api"):
        """Copies it to where a configuration expects one, whole: written beside and renamed."""
        for source, suffix in ((self.key, "key"), (self.pem, "pem")):
            beside = pathlib.Path(folder) / f".{name}.{suffix}"
            beside.touch(mode=0o600)
            beside.write_bytes(source.read_bytes())
            beside.rename(pathlib.Path(folder) / f"{name}.{suffix}")


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.pem, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *NEW_KEY, "-keyout", self.key, "-out", self.pem, "-days", "300", "-subj", f"/CN={name}")
        (self.folder / "index").touch()
        (self.folder / "crlnumber").write_text("01")
        self.settings = self.folder / "ca.cnf"
        self.settings.write_text(
            f"[ca]\ndefault_ca=x\n[x]\ndatabase={self.folder}/index\ncrlnumber={self.folder}/crlnumber\ncertificate={self.pem}\n"
            f"private_key={self.key}\ndefault_md=sha256\ndefault_crl_days=30\nserial={self.folder}/serial\nnew_certs_dir={self.folder}\n"
            "rand_serial=yes\nunique_subject=no\npolicy=any\n[any]\ncommonName=supplied\n"
        )

    def issue(self, name, names, days=30, purpose="serverAuth,clientAuth", subject=None):
        pem, key, request = (self.folder / f"{name}.{suffix}" for suffix in ("pem", "key", "csr"))
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", subject or f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={purpose}\n" + (f"subjectAltName={names}\n" if names else ""))
        sign = ["-in", request, "-extfile", extensions, "-out", pem]
        if days > 0:
            openssl("x509", "-req", "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-days", days, *sign)
        else:
            # Over since so many days and a minute; x509 makes none of the past.
            end = time.time() + days * 86_400 - 60
            first, last = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(moment)) for moment in (end - 10 * 86_400, end))
            openssl("ca", "-config", self.settings, "-batch", "-notext", "-startdate", first, "-enddate", last, *sign)
        return Certificate(pem, key)

    def revocations(self, *certificates):
        for certificate in certificates:
            openssl("ca", "-config", self.settings, "-revoke", certificate.pem)
        return openssl("ca", "-config", self.settings, "-gencrl")

    def client(self, certificate=None, **more):
        """A context of Python's that believes this authority."""
        context = ssl.create_default_context(cafile=self.pem)
        if certificate:
            context.load_cert_chain(certificate.pem, certificate.key)
        for name, value in more.items():
            setattr(context, name, value)
        return context
