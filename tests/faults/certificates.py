"""Certificates for peers that speak TLS: an authority of the test's own and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """``bundle`` is the path that a client is told to trust; ``server`` a context for a FaultServer's ``tls``."""

    bundle: Path
    server: ssl.SSLContext


def authority(folder: Path, *hosts: str) -> Authority:
    """Make an authority in ``folder`` and a certificate of it for ``hosts`` (names or addresses; 127.0.0.1 always)."""
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _name("Test authority")
    names = [_alternative(host) for host in ("127.0.0.1", "localhost", *hosts)]
    issued = [
        _builder(root, root, key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True),
        _builder(_name("peer"), root, own.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        ),
    ]
    bundle, chain = folder / "authority.pem", folder / "peer.pem"
    signed = [builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) for builder in issued]
    bundle.write_bytes(signed[0])
    pem = serialization.PrivateFormat.PKCS8
    chain.write_bytes(signed[1] + own.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(bundle, context)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
