#!/usr/bin/env python3
"""Checks licences and sources of all dependencies by deny.toml, where cargo-deny is not installed.

    python3 scripts/licences.py

Every crate of this workspace and of the browser package must come from crates.io, and its licence must be one that
deny.toml allows. Advisories need cargo-deny and its database: `cargo deny check advisories`. Needs Python 3.11.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def is_allowed(expression, allowed):
    """Whether a licence expression (SPDX) can be met by the licences that are allowed."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    tokens.reverse()

    def term():
        token = tokens.pop()
        if token == "(":
            met = alternatives()
            assert tokens.pop() == ")"
            return met
        if tokens and tokens[-1] == "WITH":  # an exception only permits more
            del tokens[-2:]
        return token in allowed

    def conjunction():
        met = term()
        while tokens and tokens[-1] == "AND":
            tokens.pop()
            met = term() and met
        return met

    def alternatives():
        met = conjunction()
        while tokens and tokens[-1] == "OR":
            tokens.pop()
            met = conjunction() or met
        return met

    met = alternatives()
    assert not tokens, f"'{expression}' is no licence expression"
    return met


def complaints(package, licenses):
    """What is wrong with a package."""
    name = f"{package['name']} {package['version']}"
    exceptions = [each["allow"] for each in licenses["exceptions"] if each["crate"] == package["name"]]
    allowed = licenses["allow"] + sum(exceptions, [])
    if package["source"] is None:  # a crate of this repository
        return
    if package["source"] != CRATES_IO:
        yield f"{name}: expected crates.io, got {package['source']}"
    if not package["license"]:
        yield f"{name}: no licence is stated"
    elif not is_allowed(package["license"], allowed):
        yield f"{name}: {package['license']} is not among the licences that deny.toml allows"


def main():
    licenses = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]
    packages = {}
    for manifest in [ROOT / "Cargo.toml", ROOT / "web" / "Cargo.toml"]:
        command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path", manifest]
        metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        packages.update((package["id"], package) for package in metadata["packages"])
    found = [line for package in packages.values() for line in complaints(package, licenses)]
    print(*found, f"licences: {len(packages)} crates, {len(found)} complaints", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
