#!/usr/bin/env python3
"""Writes the car's bill of materials: CycloneDX 1.5 in JSON, on standard output.

What is compiled in comes from Cargo's own resolution for one target without default features, with the digests of
Cargo.lock; the models, ONNX Runtime and the program are named by the digests of the files that are packed. The same
inputs give the same bytes: its number is made of its content, its time is SOURCE_DATE_EPOCH.

Usage: sbom.py TARGET VERSION BUILD BINARY LIBONNXRUNTIME ONNXRUNTIME_VERSION MODEL_TOML...
"""

import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return [{"alg": "SHA-256", "content": digest.hexdigest()}]


def crates(target):
    """Every crate that the car's program is built from: what is needed at build time alone is left out."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--no-default-features"]
    found = json.loads(subprocess.check_output(command + ["--filter-platform", target]))
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    packages = {p["id"]: p for p in found["packages"]}
    nodes = {n["id"]: n for n in found["resolve"]["nodes"]}
    root = found["resolve"]["root"]
    waits, linked = [root], {}
    while waits:
        here = waits.pop()
        if here in linked:
            continue
        # Foreign source that a build script compiles in, such as openssl-src, is in the program too.
        kinds = [
            d
            for d in nodes[here]["deps"]
            if any(k["kind"] is None for k in d["dep_kinds"]) or packages[d["pkg"]]["name"].endswith("-src")
        ]
        macro = any("proc-macro" in t["kind"] for t in packages[here]["targets"])
        # What a macro needs runs in the compiler and is in no program.
        linked[here] = [] if macro else sorted(d["pkg"] for d in kinds)
        waits += linked[here]
    reference = {i: f"pkg:cargo/{packages[i]['name']}@{packages[i]['version']}" for i in linked}
    components = []
    for identity in sorted(linked, key=reference.get):
        package = packages[identity]
        if identity == root:
            continue
        part = {
            "type": "library",
            "bom-ref": reference[identity],
            "name": package["name"],
            "version": package["version"],
            "purl": reference[identity],
        }
        if package.get("license"):
            part["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if checksum := checksums.get((package["name"], package["version"])):
            part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        components.append(part)
    needs = [{"ref": reference[i], "dependsOn": sorted({reference[d] for d in linked[i]})} for i in linked]
    return reference[root], components, sorted(needs, key=lambda n: n["ref"])


def main():
    target, version, build, binary, library, library_version, *models = sys.argv[1:]
    root, components, needs = crates(target)
    components.append({
        "type": "library",
        "bom-ref": "onnxruntime",
        "name": "onnxruntime",
        "version": library_version,
        "purl": f"pkg:pypi/onnxruntime@{library_version}",
        "licenses": [{"license": {"id": "MIT"}}],
        "hashes": sha256(library),
    })
    for path in sorted(map(pathlib.Path, models)):
        model = tomllib.loads(path.read_text())
        components.append({
            "type": "machine-learning-model",
            "bom-ref": f"model/{model['name']}",
            "name": model["name"],
            "version": str(model["version"]),
            "hashes": sha256(path.parent / model["file"]),
        })
    for need in needs:
        if need["ref"] == root:
            need["dependsOn"] = sorted(
                need["dependsOn"] + [c["bom-ref"] for c in components if "cargo" not in c.get("purl", "")]
            )
    when = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "outrider",
                "version": version,
                "hashes": sha256(binary),
                "properties": [
                    {"name": "outrider:build", "value": build},
                    {"name": "outrider:target", "value": target},
                ],
            },
        },
        "components": components,
        "dependencies": needs,
    }
    content = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).digest()
    bom["serialNumber"] = uuid.UUID(bytes=content[:16], version=4).urn
    json.dump(bom, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
