#!/usr/bin/env python3
"""Checks that what the documents name is in the tree. Usage: scripts/claims.py [DOCUMENT...]

SECURITY.md, PRIVACY.md and SPECIFICATION.md quote a test for every claim. A test that was renamed or moved leaves a claim
without proof, and nobody notices. This script fails where a document names, between backticks,

- a file or folder that is not there;
- a test (a name of at least four words joined by underscores) that is no function marked as a test in any Rust file;
- a test or another function "in" a file or below a folder where it is not;
- a target of make that the Makefile has not;

and where a message that leaves the car has a field that PRIVACY.md does not name, or PRIVACY.md names a field that no
message has: `src/uplink/snapshots/` holds each message as a test has seen it.

It does not tell whether a test proves what the sentence says. That takes a reader.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ["docs/SECURITY.md", "docs/PRIVACY.md", "docs/SPECIFICATION.md"]
# Documents that name tests and files by the way.
OTHERS = ["README.md", "CONTRIBUTING.md", "docs/known-issues.md", "docs/policy.md", "docs/formats.md", "docs/authoring.md", "docs/scale.md"]

QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:crates|src|tests|scripts|docs|benches|fuzz|examples)/[\w./-]*")
BARE_FILE = re.compile(r"[\w-]+\.rs")
TEST = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+){3,}")
NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
MAKE = re.compile(r"make ([a-z][a-z0-9-]*)")
FUNCTION = re.compile(r"^[ \t]*(?:pub(?:\([a-z]+\))? )?(?:async )?(?:unsafe )?fn (\w+)", re.M)
MARKED = re.compile(r"#\[(?:test|rstest|tokio::test)\b")


# A message's snapshot: how its heading in PRIVACY.md begins, which of its objects have names of a closed set as keys, and which
# fields are left out of the message of the snapshot.
MESSAGES = {
    "hit": ("hit/<ulid>`: a read", {"images"}, set()),
    "disposition": ("hit/<ulid>/disposition`", set(), set()),
    "health": ("health`", set(), set()),
    "status": ("status`", set(), {"wiped"}),
    "checkpoint": ("audit/checkpoint`", set(), set()),
    "stats": ("stats/<day>`", {"car", "cameras"}, set()),
}


def tests_of(text):
    """The names of the functions in a Rust file that are marked as tests: between them and the block before."""
    names, end = set(), 0
    for function in FUNCTION.finditer(text):
        before = text[end : function.start()]
        if MARKED.search(before[max(before.rfind("\n\n"), 0) :]):
            names.add(function.group(1))
        end = function.end()
    return names


def all_tests():
    """For each test's name, the files that have one of that name."""
    found = {}
    for top in ("crates", "src", "tests", "benches", "fuzz"):
        for file in sorted((ROOT / top).rglob("*.rs")):
            if "target" in file.parts:
                continue
            for name in tests_of(file.read_text(encoding="utf-8")):
                found.setdefault(name, []).append(file.relative_to(ROOT).as_posix())
    return found


def holds(path, name):
    """Whether a file, or any Rust file below a folder, has a function of this name."""
    files = [path] if path.is_file() else sorted(path.rglob("*.rs"))
    return any(name in FUNCTION.findall(file.read_text(encoding="utf-8")) for file in files)


def fields_of(value, prefix=""):
    """The names of the leaves of a JSON value, with dots between, and without the places in its lists."""
    if isinstance(value, dict) and value:
        return {leaf for key, inner in value.items() for leaf in fields_of(inner, f"{prefix}.{key}" if prefix else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {leaf for inner in value for leaf in fields_of(inner, prefix)}
    return {prefix}


def named_fields(section):
    """The fields in the first column of a section's table; `.y` behind `x.a` is `x.y`. A name may carry `[]`."""
    fields = set()
    for row in re.findall(r"^\| (`[^|]*) \|", section, re.M):
        stem = ""
        for word in QUOTED.findall(row):
            name = stem + word if word.startswith(".") else word
            stem = name.rpartition(".")[0]
            fields.add(name.replace("[]", ""))
    return fields


def undocumented(document, text):
    """Fields of a message's snapshot that its section of PRIVACY.md does not name, and those that it alone names."""
    said = []
    for kind, (heading, inside, absent) in MESSAGES.items():
        snapshot = (ROOT / f"src/uplink/snapshots/outrider__uplink__tests__{kind}.snap").read_text(encoding="utf-8")
        there = fields_of(json.loads(snapshot.split("---", 2)[2]))
        section = re.search(rf"^## `{re.escape(heading)}.*?(?=^#|\Z)", text, re.M | re.S)
        if section is None:
            said.append(f"{document}: there is no section of {kind}")
            continue
        named, prose = named_fields(section.group(0)), set(QUOTED.findall(section.group(0)))
        for field in sorted(there):
            stem, _, last = field.rpartition(".")
            # A row may stand for a whole object, and names what is in it in its second column.
            if not (field in named or field.partition(".")[0] in inside or (stem in named and last in prose)):
                said.append(f"{document}: the section of {kind} does not name {field}, which leaves the car")
        for field in sorted(named - there - absent):
            if not any(leaf.startswith(field + ".") for leaf in there):
                said.append(f"{document}: the section of {kind} names {field}, which no such message has")
    return said


def complaints(document, text, tests, targets):
    """Each thing that the document names and the tree has not, as a line with its place."""
    said = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("| claim ") or set(line) <= set("|- "):
            continue
        waiting, folder, end = [], None, 0
        for quoted in QUOTED.finditer(line):
            word, between = quoted.group(1), line[end : quoted.start()]
            end = quoted.end()
            place = f"{document}:{number}"
            # "`a`, `b` in `file`": the names before one "in" belong to the file behind it. Any other word ends the group.
            if not re.fullmatch(r",? |, and | and | in |", between):
                waiting = []
            if PATH.fullmatch(word):
                path = ROOT / word
                if not path.exists():
                    said.append(f"{place}: there is no {word}")
                elif between == " in ":
                    said += [f"{place}: there is no {name} in {word}" for name in waiting if not holds(path, name)]
                folder = path if path.is_dir() else path.parent
                waiting = []
            elif BARE_FILE.fullmatch(word) and folder is not None:
                if not (folder / word).exists():
                    said.append(f"{place}: there is no {word} in {folder.relative_to(ROOT)}")
            elif NAME.fullmatch(word):
                if TEST.fullmatch(word) and word not in tests:
                    said.append(f"{place}: there is no test {word}")
                waiting.append(word)
            elif (target := MAKE.match(word)) and target.group(1) not in targets:
                said.append(f"{place}: the Makefile has no target {target.group(1)}")
    return said


def main():
    documents = sys.argv[1:] or DOCUMENTS + OTHERS
    tests = all_tests()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    said, names = [], 0
    for document in documents:
        text = (ROOT / document).read_text(encoding="utf-8")
        said += complaints(document, text, tests, targets)
        if document == "docs/PRIVACY.md":
            said += undocumented(document, text)
        # A search that finds nothing to check is broken: each of these documents quotes tests.
        quoted = sum(bool(TEST.fullmatch(word)) for word in QUOTED.findall(text))
        if document in DOCUMENTS and quoted == 0:
            said.append(f"{document}: no test's name was found in it")
        names += quoted
    for line in said:
        print(line, file=sys.stderr)
    if said:
        sys.exit(f"claims: {len(said)} things that documents name are not in the tree")
    print(f"claims: {names} quotations of tests in {len(documents)} documents, and all that they name is in the tree")


if __name__ == "__main__":
    main()
