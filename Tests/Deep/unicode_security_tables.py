#!/usr/bin/env python3
"""Writes Sources/CedarSchema/Validation/UnicodeSecurityTables.swift from files of the Unicode Character Database.

usage: unicode_security_tables.py FOLDER VERSION > Sources/CedarSchema/Validation/UnicodeSecurityTables.swift

FOLDER holds Scripts.txt, ScriptExtensions.txt, PropertyValueAliases.txt (UCD) and IdentifierStatus.txt (UTS 39).
"""
import sys

folder, version = sys.argv[1], sys.argv[2]


def rows(name):
    for line in open(f"{folder}/{name}", encoding="utf-8"):
        fields = [f.strip() for f in line.split("#")[0].split(";")]
        if len(fields) > 1:
            yield fields


def span(text):
    low, _, high = text.partition("..")
    return int(low, 16), int(high or low, 16)


short = {long: name for kind, name, long, *_ in rows("PropertyValueAliases.txt") if kind == "sc"}
scripts = [None] * 0x110000
for place, script in rows("Scripts.txt"):
    low, high = span(place)
    for scalar in range(low, high + 1):
        scripts[scalar] = (short[script],)
for place, names in rows("ScriptExtensions.txt"):
    low, high = span(place)
    for scalar in range(low, high + 1):
        scripts[scalar] = tuple(names.split())

names = sorted({n for s in set(scripts) if s for n in s} - {"Zyyy", "Zinh"})
# UTS 39, section 5.1: the writing systems that mix scripts count as scripts of their own.
index = {name: i for i, name in enumerate(names + ["Hanb", "Jpan", "Kore"])}
assert len(index) <= 192
everything = (1 << 192) - 1


def mask(script):
    if script is None:
        return 0
    if "Zyyy" in script or "Zinh" in script:
        return everything
    found = set(script)
    if "Hani" in found:
        found |= {"Hanb", "Jpan", "Kore"}
    if found & {"Hira", "Kana"}:
        found.add("Jpan")
    if "Hang" in found:
        found.add("Kore")
    if "Bopo" in found:
        found.add("Hanb")
    return sum(1 << index[name] for name in found)


masks, runs, last = [], [], object()
for scalar, script in enumerate(scripts):
    if 0xD800 <= scalar < 0xE000:
        continue
    if script != last:
        m = mask(script)
        if m not in masks:
            masks.append(m)
        if not runs or runs[-1][1] != masks.index(m):
            runs.append((scalar, masks.index(m)))
        last = script

allowed = sorted(span(place) for place, status, *_ in rows("IdentifierStatus.txt") if status == "Allowed")
joined = []
for low, high in allowed:
    if joined and joined[-1][1] + 1 == low:
        joined[-1] = (joined[-1][0], high)
    else:
        joined.append((low, high))


def array(name, kind, values, comment):
    print(f"  /// {comment}\n  static let {name}: [{kind}] = [")
    line = "   "
    for value in values:
        if len(line) + len(value) + 2 > 138:
            print(line)
            line = "   "
        line += f" {value},"
    print(line)
    print("  ]")


print("// Made by Tests/Deep/unicode_security_tables.py; not edited by hand.")
print(f"// Data of the Unicode Character Database and UTS 39, version {version}; Unicode License v3, Copyright Unicode, Inc.\n")
print("/// Scripts of scalars and scalars allowed in identifiers (Unicode UTS 39).")
print("enum UnicodeSecurityTables {")
array("starts", "UInt32", [f"0x{s:x}" for s, _ in runs], "Where each run of scalars of equal scripts begins, ascending.")
array("sets", "UInt16", [str(m) for _, m in runs], "Which set of scripts each run has, an index of a triple in `masks`.")
array("masks", "UInt64", [f"0x{m >> s & (1 << 64) - 1:x}" for m in masks for s in (0, 64, 128)], "Sets of scripts, three words each, a bit a script.")
array("allowed", "UInt32", [f"0x{v:x}" for r in joined for v in r], "First and last scalars of the ranges that are allowed in identifiers, ascending.")
print("}")
