#!/usr/bin/env python3
"""Reads the vectors of docs/formats.md without any code of ours: the page is enough to write a client.

Needs the `cryptography` package (AES-GCM-SIV, Ed25519) and the `zstd` program.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import subprocess

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "formats.md"
BLOCK = PAGE.read_text().split("```vectors\n")[1].split("```")[0]
GIVEN = dict(line.split(" = ", 1) for line in BLOCK.splitlines())


def derived(use):
    hkdf = HKDF(hashes.SHA256(), 32, b"outrider list key", b"outrider/v1/list/" + use)
    return hkdf.derive(bytes.fromhex(GIVEN["list key"]))


def opened(name, kind):
    """§3: a message and its address to its content."""
    address, message = bytes.fromhex(GIVEN[f"{name} address"]), bytes.fromhex(GIVEN[f"{name} message"])
    assert len(message) <= 98_304 and message[:2] == bytes([1, kind])
    plain = AESGCMSIV(derived(b"seal")).decrypt(address[:12], message[2:], message[:2] + address)
    (length,) = struct.unpack_from("<I", plain)
    content = subprocess.run(["zstd", "-dc"], input=plain[4:], capture_output=True, check=True).stdout
    assert len(content) == length <= 393_216
    assert hmac.digest(derived(b"address"), bytes([kind]) + content, "sha256") == address
    return content


def record(content):
    """§2: the one record of the chunk."""
    (length,) = struct.unpack_from("<H", content)
    assert len(content) == length + 2
    (flags,) = struct.unpack_from("<I", content, 2)
    at, texts = 6, []
    while at < len(content):
        texts.append(content[at + 1 : at + 1 + content[at]].decode())
        at += 1 + content[at]
    return flags, texts


def signed(name, key, kind):
    """§5: an envelope to its payload, by whom it must be."""
    envelope = json.loads(GIVEN[name])
    assert envelope["payloadType"] == kind
    payload = base64.b64decode(envelope["payload"])
    said = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    public = bytes.fromhex(GIVEN[key])
    assert envelope["signatures"][0]["keyid"] == hashlib.sha256(public).hexdigest()[:16]
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, said)
    return payload


def main():
    assert derived(b"id")[:8].hex() == GIVEN["list key name"]
    chunk = opened("chunk", 1)
    assert chunk.hex() == GIVEN["record"]
    flags, texts = record(chunk)
    assert flags == 2 | 1 << 6, "high, with a case number"
    assert texts == ["ABC123", "CA-ON", "stolen_vehicle", "26-1234"]

    page = opened("page", 2)
    assert page[:32].hex() == GIVEN["chunk address"] and len(page) == 40
    assert struct.unpack_from("<II", page, 32) == (len(GIVEN["chunk message"]) // 2, 1)

    folded = texts[0].translate(str.maketrans("OQI", "001"))
    symbols = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    key = 0
    for c in folded:
        key = key * 37 + symbols.index(c) + 1
    assert key == int(GIVEN["plate key"])
    tag = hmac.digest(derived(b"revocation"), folded.encode() + b"\x1f" + texts[1].encode(), "sha256")
    assert tag[:16].hex() == GIVEN["revocation tag"]

    manifest = signed(
        "manifest message",
        "author's public key",
        "application/vnd.outrider.hotlist-manifest.v1+json",
    )
    assert manifest.decode() == GIVEN["manifest payload"]
    canonical = json.dumps(json.loads(manifest), sort_keys=True, separators=(",", ":"))
    assert canonical == manifest.decode(), "canonical: keys in order, no space"
    says = json.loads(manifest)
    assert says["layers"][0]["pages"][0]["address"] == GIVEN["page address"]
    assert says["revoked"] == [GIVEN["revocation tag"]] and says["key"] == GIVEN["list key name"]

    trust = signed("trust message", "root's public key", "application/vnd.outrider.trust.v1+json")
    (author,) = json.loads(trust)["keys"]
    assert author["public"] == GIVEN["author's public key"]
    assert author["roles"] == [{"list_author": "stolen"}]
    print(f"all {len(GIVEN)} vectors of {PAGE.name} read as they should")


if __name__ == "__main__":
    main()
