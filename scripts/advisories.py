#!/usr/bin/env python3
"""Writes scripts/advisories.toml: what the RustSec database says of the crates in Cargo.lock.

CI has no network for the database, so its facts are kept here with their date: which versions of which crate an
advisory does not concern. scripts/deny.py holds Cargo.lock against them, and fails for a crate that was never
looked up.

Usage: scripts/advisories.py [CHECKOUT]    of https://github.com/rustsec/advisory-db; it is cloned if none is given
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def git(repository, *arguments):
    return subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True).stdout


def facts(repository, names):
    for path in git(repository, "ls-tree", "-r", "--name-only", "HEAD", "crates").split():
        _, name, file = path.split("/")[:3]
        if name not in names or not file.endswith(".md"):
            continue
        text = git(repository, "show", f"HEAD:{path}")
        front = tomllib.loads(re.search(r"```toml\n(.*?)```", text, re.S).group(1))
        about, versions = front["advisory"], front.get("versions", {})
        if about.get("withdrawn"):
            continue
        yield about["id"], name, [*versions.get("patched", []), *versions.get("unaffected", [])]


def main():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    names = sorted({p["name"] for p in lock["package"] if "source" in p})
    with tempfile.TemporaryDirectory() as folder:
        repository = sys.argv[1] if len(sys.argv) > 1 else folder
        if repository == folder:
            subprocess.run(["git", "clone", "--quiet", "--depth", "1",
                            "https://github.com/rustsec/advisory-db", folder], check=True)
        date = git(repository, "log", "-1", "--format=%cs").strip()
        found = sorted(facts(repository, set(names)))
    lines = ["# What the RustSec advisory database said of the crates in Cargo.lock; scripts/advisories.py writes this.",
             f'as-of = "{date}"', "", "# Every crate that was looked up, whether anything was found or not.", "looked-up = ["]
    line = " "
    for name in names:
        if len(line) + len(name) > 115:
            lines.append(line)
            line = " "
        line += f' "{name}",'
    lines += [line, "]", "", "# Versions that an advisory does not concern: repaired, or never affected.", "advisories = ["]
    for ident, name, clear in found:
        ranges = ", ".join(f'"{r}"' for r in clear)
        lines.append(f'  {{ id = "{ident}", crate = "{name}", clear = [{ranges}] }},')
    lines.append("]")
    (ROOT / "scripts/advisories.toml").write_text("\n".join(lines) + "\n")
    print(f"{len(names)} crates, {len(found)} advisories as of {date}")


if __name__ == "__main__":
    main()
