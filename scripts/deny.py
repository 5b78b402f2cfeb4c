#!/usr/bin/env python3
"""Holds the locked dependencies against deny.toml and scripts/advisories.toml: licences, sources, bans, crates in
several versions, known faults; and what a Cargo.toml names that its sources do not use.

It reads `cargo metadata --offline`, so it needs no network and nothing to install.
Usage: scripts/deny.py [--list-duplicates]
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
# Crates that are locked in several versions. The embedded broker brings most; fewer is better, more is a choice
# that somebody makes here.
MOST_DUPLICATES = 33
# Dependencies that no source names, and why they are there all the same.
UNNAMED = {}


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    for target in TARGETS:
        command += ["--filter-platform", target]
    offline = subprocess.run([*command, "--offline"], cwd=ROOT, capture_output=True, text=True)
    # A machine that has built nothing yet lacks the sources of the crates, and gets them.
    done = offline if offline.returncode == 0 else subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: cargo metadata: {done.stderr.strip()}")
    return json.loads(done.stdout)


def licence_holds(expression, allowed):
    """Whether an SPDX expression can be satisfied with allowed licences: `OR` chooses, `AND` adds."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def one():
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "(":
            held = either()
            at += 1
            return held
        if at < len(tokens) and tokens[at] == "WITH":
            token += " WITH " + tokens[at + 1]
            at += 2
        return token in allowed

    def both():
        nonlocal at
        held = one()
        while at < len(tokens) and tokens[at] == "AND":
            at += 1
            held = one() and held
        return held

    def either():
        nonlocal at
        held = both()
        while at < len(tokens) and tokens[at] == "OR":
            at += 1
            held = both() or held
        return held

    return either()


def version(text):
    """A version as numbers; what comes before a release sorts before it."""
    release, _, before = text.split("+")[0].partition("-")
    return [int(n) for n in release.split(".")], before == "", before


def fits(have, comparator):
    """Whether a version fits one of Cargo's comparators; a bare version means a compatible one."""
    sign, wanted = re.fullmatch(r"\s*(>=|<=|>|<|=|\^)?\s*(\S+)\s*", comparator).groups()
    mine, other = version(have), version(wanted)
    if sign in (None, "^"):
        leading = next((n for n, part in enumerate(other[0]) if part), len(other[0]) - 1) + 1
        return mine >= other and mine[0][:leading] == other[0][:leading]
    return {">=": mine >= other, "<=": mine <= other, ">": mine > other, "<": mine < other, "=": mine == other}[sign]


def licences(packages, rules, faults):
    excepted = {e["crate"]: e["allow"] for e in rules["exceptions"]}
    for package in packages:
        name, said = package["name"], package["license"]
        allowed = {*rules["allow"], *excepted.get(name, [])}
        if not said:
            faults.append(f"{name} {package['version']} names no licence")
        elif not licence_holds(said, allowed):
            faults.append(f"{name} {package['version']} is under {said}, which deny.toml does not allow")
    for name in excepted:
        if all(p["name"] != name for p in packages):
            faults.append(f"deny.toml excepts {name}, which is not locked any more")


def bans(packages, graph, rules, faults):
    by_id = {p["id"]: p["name"] for p in packages}
    users = {}
    for node in graph:
        for dep in node["deps"]:
            if any(kind["kind"] is None for kind in dep["dep_kinds"]):
                users.setdefault(by_id.get(dep["pkg"]), set()).add(by_id.get(node["id"]))
    locked = {p["name"] for p in packages}
    for rule in rules["deny"]:
        name, reason = rule["crate"], rule["reason"]
        if name not in locked:
            continue
        wrappers = set(rule.get("wrappers", []))
        for user in sorted(u or "this workspace" for u in users.get(name, set())):
            if user not in wrappers:
                faults.append(f"{user} uses {name}: {reason}")
        if not wrappers and name not in users:
            faults.append(f"{name} is locked: {reason}")


def duplicates(packages):
    found = {}
    for package in packages:
        found.setdefault(package["name"], []).append(package["version"])
    return {name: sorted(all_, key=version) for name, all_ in sorted(found.items()) if len(all_) > 1}


def advisories(packages, known, faults):
    looked_up = set(known["looked-up"])
    for package in packages:
        name, have = package["name"], package["version"]
        if name not in looked_up:
            faults.append(f"{name} was never looked up among the advisories: run scripts/advisories.py")
        for advisory in known["advisories"]:
            clear = any(all(fits(have, c) for c in r.split(",")) for r in advisory["clear"])
            if advisory["crate"] == name and not clear:
                faults.append(f"{name} {have} has a known fault, https://rustsec.org/advisories/{advisory['id']}: "
                              f"clear are {'; '.join(advisory['clear']) or 'none'}")


def without_comments(file):
    return re.sub(r"^\s*//.*$", "", file.read_text(), flags=re.M)


def words_of(folders):
    text = []
    for folder in folders:
        for file in sorted(folder.rglob("*.rs")):
            text.append(without_comments(file))
    return "\n".join(text)


def names_in_source(dependency):
    renamed = dependency["rename"] or dependency["name"]
    # A library may have another name than its package.
    other = {"rumqttc-next": "rumqttc"}.get(dependency["name"])
    return {renamed.replace("-", "_"), *([other] if other else [])}


def unused(workspace, faults):
    """Dependencies that no source file names; and normal ones that only tests, benches and examples name."""
    for package in workspace:
        folder = pathlib.Path(package["manifest_path"]).parent
        source = words_of([folder / "src"])
        outside_tests = re.sub(r"#\[cfg\(test\)\]\s*mod \w+ \{.*?^\}", "", source, flags=re.M | re.S)
        for file in folder.joinpath("src").rglob("*tests*"):
            for inner in [file] if file.suffix == ".rs" else []:
                outside_tests = outside_tests.replace(
                    without_comments(inner), "")
        # An example in a comment is a test, too.
        examples = "\n".join(re.sub(r"^\s*//[/!] ?", "", line) for file in folder.joinpath("src").rglob("*.rs")
                             for line in file.read_text().splitlines() if re.match(r"\s*//[/!]", line))
        beside = examples + words_of([folder / f for f in ("tests", "benches", "examples") if folder.joinpath(f).is_dir()])
        manifest = tomllib.loads(pathlib.Path(package["manifest_path"]).read_text())
        in_features = {item.removeprefix("dep:").split("/")[0].rstrip("?")
                       for items in manifest.get("features", {}).values() for item in items}
        for dependency in package["dependencies"]:
            name = dependency["name"]
            if (package["name"], name) in UNNAMED:
                continue
            used = re.compile(r"(?<![\w:])(?:::)?(" + "|".join(names_in_source(dependency)) + r")(::|;| as )")
            if dependency["kind"] is None and not used.search(outside_tests) and name not in in_features:
                where = "its tests alone use it" if used.search(source) or used.search(beside) else "nothing uses it"
                faults.append(f"{package['name']} depends on {name}, and {where}")
            if dependency["kind"] == "dev" and not used.search(source) and not used.search(beside):
                faults.append(f"{package['name']} has {name} for its tests, and they do not use it")


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    data = metadata()
    members = set(data["workspace_members"])
    workspace = [p for p in data["packages"] if p["id"] in members]
    foreign = [p for p in data["packages"] if p["id"] not in members]
    faults = []
    licences(foreign, rules["licenses"], faults)
    for package in foreign:
        if package["source"] != CRATES_IO:
            faults.append(f"{package['name']} comes from {package['source']}, not from crates.io")
    bans(foreign, data["resolve"]["nodes"], rules["bans"], faults)
    known = tomllib.loads((ROOT / "scripts/advisories.toml").read_text())
    advisories(foreign, known, faults)
    unused(workspace, faults)
    twice = duplicates(foreign)
    many = len(twice) > MOST_DUPLICATES
    if many:
        faults.append(f"{len(twice)} crates are locked in several versions, {MOST_DUPLICATES} at most are allowed")
    if "--list-duplicates" in sys.argv or many:
        print("\n".join(f"    {name}: {', '.join(versions)}" for name, versions in twice.items()))
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"{len(foreign)} libraries: licences, sources and bans hold; {len(twice)} are there in several versions; "
          f"no version has a fault known on {known['as-of']}")


if __name__ == "__main__":
    main()
