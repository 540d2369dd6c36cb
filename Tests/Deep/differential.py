#!/usr/bin/env python3
"""Holds cedar-conformance against the reference engine (cedarpy, from PyPI) on random worlds.

usage: differential.py --exe PATH [--minutes N] [--seed N] [--only authorize,validate,format,json,schema,entities] [--keep FILE]

Every world is a schema, entities, policies and requests made from a seed. Compared are decisions, determining and erring
policies; whether policy sets validate, and which policies do not; the formatter's output; policies as JSON in both
directions; whether a schema with some tokens or members changed is one. A difference is printed with everything needed to repeat it and, with --keep, appended to FILE as a line of JSON.
Exit code 1 if anything differs.
"""
import argparse
import json
import random
import re
import subprocess
import sys
import time

import cedarpy

STRINGS = ["", "a", "b", "abc", "a b", "x\"y", "*", "a*b", "\\", "\n", "\t", "\u00e9", "e\u0301", "\U0001f600", "User::\"a\"", "10.0.0.1", "K", "\u212a", "'", "\0", "{", "//"]
NAMES = ["name", "age", "owner", "in", "if", "a b", "has", "type", "x1", "_u", "tags", "context", "isEmpty", "", "\u00e9", "permit"]
IDENT = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
RESERVED = {"if", "then", "else", "true", "false", "in", "is", "has", "like"}
EXT = {
    "ipaddr": ["10.0.0.1", "10.0.0.0/8", "::1", "ff00::/8", "127.0.0.1", "1.2.3.4/31", "::ffff", "224.0.0.1"],
    "decimal": ["1.0", "0.1", "-3.1415", "922337203685477.5807", "1.23", "00.50"],
    "datetime": ["2024-01-01", "1969-12-31T23:59:59Z", "2024-02-29T12:00:00.123+0530", "0000-01-01", "9999-12-31T23:59:59.999Z"],
    "duration": ["1h", "-1d", "1d2h3m4s5ms", "0ms", "90m", "-1500ms", "9223372036854775807ms"],
}
BAD_EXT = {"ipaddr": ["", "1.2.3", "1.2.3.4/33", "01.2.3.4", ":::"], "decimal": ["1", "1.00000", ".5", "99999999999999999.0"],
           "datetime": ["2024-13-01", "2024-1-1", "2024-01-01T00:00:60Z"], "duration": ["", "1", "1s1h", "99999999999999999999d"]}
LONGS = [0, 1, -1, 2, 3, 7, 255, 1 << 31, (1 << 62), (1 << 63) - 1, -(1 << 63), -(1 << 62)]


class World:
    def __init__(self, seed):
        self.r = random.Random(seed)
        r = self.r
        self.ns = r.choice(["", "", "NS", "Acme::Api"])
        # Some worlds have values that are unknown, and policies that name some.
        self.unknowns = 0.08 if r.random() < 0.2 else 0
        count = r.randint(2, 4)
        self.types = ["User", "Group", "Doc", "Color"][:count]
        self.entity = {}
        for name in self.types:
            if name == "Color" and r.random() < 0.7:
                self.entity[name] = {"enum": r.sample(["red", "green", "x\"y", ""], r.randint(1, 3))}
                continue
            self.entity[name] = {
                "parents": [t for t in self.types if r.random() < 0.35],
                "attrs": self.record(2),
                "tags": self.type(1) if r.random() < 0.4 else None,
            }
        self.actions = {}
        names = ["view", "edit", "do it", "grp"][: r.randint(2, 4)]
        for i, name in enumerate(names):
            applies = None
            if name != "grp":
                applies = (r.sample(self.types, r.randint(1, count)), r.sample(self.types, r.randint(1, count)), self.record(1) if r.random() < 0.8 else {})
            self.actions[name] = {"parents": [n for n in names[i + 1:] if r.random() < 0.4], "applies": applies}

    # Types are ("Long",), ("Set", t), ("Record", {name: (t, required)}), ("Entity", name), ("Ext", name).
    def type(self, depth):
        r = self.r
        k = r.random()
        if k < 0.2:
            return ("Long",)
        if k < 0.4:
            return ("String",)
        if k < 0.52:
            return ("Bool",)
        if k < 0.68:
            return ("Entity", r.choice(self.types if hasattr(self, "types") else ["User"]))
        if k < 0.8 or depth <= 0:
            return ("Ext", r.choice(list(EXT)))
        if k < 0.9:
            return ("Set", self.type(depth - 1))
        return ("Record", self.record(depth - 1))

    def record(self, depth):
        return {n: (self.type(depth), self.r.random() < 0.6) for n in self.r.sample(NAMES, self.r.randint(0, 4))}

    def q(self, name):
        return f"{self.ns}::{name}" if self.ns else name

    # MARK: the schema as text and as JSON

    def type_text(self, t):
        if t[0] == "Set":
            return f"Set<{self.type_text(t[1])}>"
        if t[0] == "Record":
            return self.record_text(t[1])
        return t[1] if t[0] in ("Entity", "Ext") else t[0]

    def record_text(self, attrs):
        return "{" + ", ".join(f"{key(n)}{'' if req else '?'}: {self.type_text(t)}" for n, (t, req) in attrs.items()) + "}"

    def schema_text(self):
        out = []
        for name, e in self.entity.items():
            if "enum" in e:
                out.append(f"entity {name} enum [{', '.join(string(c) for c in e['enum'])}];")
            else:
                parents = f" in [{', '.join(e['parents'])}]" if e["parents"] else ""
                tags = f" tags {self.type_text(e['tags'])}" if e["tags"] else ""
                out.append(f"entity {name}{parents} {self.record_text(e['attrs'])}{tags};")
        for name, a in self.actions.items():
            parents = f" in [{', '.join(string(p) for p in a['parents'])}]" if a["parents"] else ""
            applies = ""
            if a["applies"]:
                p, s, c = a["applies"]
                applies = f" appliesTo {{ principal: [{', '.join(p)}], resource: [{', '.join(s)}], context: {self.record_text(c)} }}"
            out.append(f"action {string(name)}{parents}{applies};")
        self.r.shuffle(out)
        body = "\n".join(out)
        return f"namespace {self.ns} {{\n{body}\n}}" if self.ns else body

    def type_json(self, t):
        if t[0] == "Set":
            return {"type": "Set", "element": self.type_json(t[1])}
        if t[0] == "Record":
            return {"type": "Record", "attributes": {n: dict(self.type_json(a), required=req) for n, (a, req) in t[1].items()}}
        if t[0] == "Entity":
            return {"type": "Entity", "name": self.q(t[1])}
        if t[0] == "Ext":
            return {"type": "Extension", "name": t[1]}
        return {"type": "Boolean" if t[0] == "Bool" else t[0]}

    def schema_json(self):
        entities = {}
        for name, e in self.entity.items():
            if "enum" in e:
                entities[name] = {"enum": e["enum"]}
                continue
            entities[name] = {"memberOfTypes": [self.q(p) for p in e["parents"]], "shape": self.type_json(("Record", e["attrs"]))}
            if e["tags"]:
                entities[name]["tags"] = self.type_json(e["tags"])
        actions = {}
        for name, a in self.actions.items():
            actions[name] = {"memberOf": [{"id": p} for p in a["parents"]]}
            if a["applies"]:
                p, s, c = a["applies"]
                actions[name]["appliesTo"] = {"principalTypes": [self.q(t) for t in p], "resourceTypes": [self.q(t) for t in s], "context": self.type_json(("Record", c))}
        return {self.ns: {"entityTypes": entities, "actions": actions}}

    # MARK: values

    def uid(self, name):
        e = self.entity.get(name, {})
        ids = e["enum"] if "enum" in e and self.r.random() < 0.95 else ["e0", "e1", "e2", "ghost", "x\"y"]
        return {"type": self.q(name), "id": self.r.choice(ids)}

    def value(self, t, noise):
        r = self.r
        if self.unknowns and r.random() < self.unknowns:
            return self.unknown(0)
        if r.random() < noise:
            t = self.type(1)
        if t[0] == "Long":
            return r.choice(LONGS)
        if t[0] == "String":
            return r.choice(STRINGS)
        if t[0] == "Bool":
            return r.random() < 0.5
        if t[0] == "Entity":
            u = self.uid(t[1])
            return {"__entity": u} if r.random() < 0.8 else u
        if t[0] == "Ext":
            text = r.choice(EXT[t[1]] if r.random() > noise else BAD_EXT[t[1]])
            fn = {"ipaddr": "ip"}.get(t[1], t[1])
            return {"__extn": {"fn": fn, "arg": text}}
        if t[0] == "Set":
            return [self.value(t[1], noise) for _ in range(r.randint(0, 3))]
        return {n: self.value(a, noise) for n, (a, req) in t[1].items() if (req or r.random() < 0.5) and r.random() >= noise / 3}

    def unknown(self, depth):
        r = self.r
        name = {"__extn": {"fn": "unknown", "arg": r.choice(["x", "", "a b"])}}
        if r.random() < 0.7 or depth > 1:
            return name
        fn, count = r.choice([("ip", 1), ("decimal", 1), ("offset", 2), ("isIpv4", 1), ("toDays", 1), ("lessThan", 2), ("unknown", 1), ("nope", 1)])
        return {"__extn": {"fn": fn, "args": [self.unknown(depth + 1) if r.random() < 0.8 else 1 for _ in range(count)]}}

    def entities(self, noise):
        r = self.r
        out = []
        for name, e in self.entity.items():
            if "enum" in e:
                continue
            for i in range(3):
                if r.random() < 0.3:
                    continue
                parents = []
                for p in e["parents"]:
                    if p != name and r.random() < 0.6:
                        parents.append({"type": self.q(p), "id": f"e{r.randint(0, 2)}"})
                one = {"uid": {"type": self.q(name), "id": f"e{i}"}, "attrs": self.context(e["attrs"], noise), "parents": parents}
                if e["tags"] and r.random() < 0.7:
                    one["tags"] = {k: self.value(e["tags"], noise) for k in r.sample(["k", "a b", ""], r.randint(0, 2))}
                out.append(one)
        return out

    def context(self, attrs, noise):
        if self.r.random() < noise / 4:
            return self.r.choice([{"__entity": self.uid("User")}, {"__extn": {"fn": "ip", "arg": "::1"}}, {"type": self.q("User"), "id": "e0"}])
        return {n: self.value(a, noise) for n, (a, req) in attrs.items() if (req or self.r.random() < 0.5) and self.r.random() >= noise / 3}

    def request(self, noise):
        r = self.r
        name = r.choice(list(self.actions))
        applies = self.actions[name]["applies"] or (self.types, self.types, {})
        pick = lambda ts: r.choice(ts if r.random() > noise else self.types)
        return {
            "principal": self.uid(pick(applies[0])), "action": {"type": self.q("Action"), "id": name}, "resource": self.uid(pick(applies[1])),
            "context": self.context(applies[2], noise),
        }

    # MARK: policies

    def entity_text(self, name):
        u = self.uid(name)
        return f"{u['type']}::{string(u['id'], self.r)}"

    def action_text(self):
        name = self.r.choice(list(self.actions)) if self.r.random() < 0.97 else "nope"
        return f"{self.q('Action')}::{string(name)}"

    def scope(self, var, t, template):
        r = self.r
        k = r.random()
        ref = f"?{var}" if template and r.random() < 0.6 else self.entity_text(t if r.random() < 0.6 else r.choice(self.types))
        if k < 0.35:
            return var
        if k < 0.5:
            return f"{var} == {ref}"
        if k < 0.65:
            return f"{var} in {ref}"
        if k < 0.85:
            return f"{var} is {self.q(t)}"
        return f"{var} is {self.q(t)} in {ref}"

    def policy(self, template=False):
        r = self.r
        usable = [(n, a["applies"]) for n, a in self.actions.items() if a["applies"]]
        name, applies = r.choice(usable) if usable else ("grp", (self.types, self.types, {}))
        p, s = r.choice(applies[0]), r.choice(applies[1])
        env = {"principal": ("Entity", p), "resource": ("Entity", s), "context": ("Record", applies[2]), "action": ("Action",)}
        k = r.random()
        uid = f"{self.q('Action')}::{string(name)}"
        action = "action" if k < 0.25 else f"action == {uid}" if k < 0.7 else f"action in {self.action_text()}" if k < 0.85 else f"action in [{', '.join(self.action_text() for _ in range(r.randint(0, 2)))}]"
        annotations = "".join(f"@{k}{'' if v is None else '(' + string(v, r) + ')'}\n" for k, v in r.choice([[], [], [("id", "p"), ("doc", "x\"y")], [("if", None)], [("a", "\u00e9")]]))
        noise = r.choice([0, 0, 0.03, 0.1])
        known = []
        conds = "".join(f"\n{r.choice(['when', 'when', 'unless'])} {{ {self.expr(('Bool',), 4, env, noise, known)} }}" for _ in range(r.choice([0, 1, 1, 1, 2])))
        return f"{annotations}{r.choice(['permit', 'permit', 'forbid'])}({self.scope('principal', p, template)}, {action}, {self.scope('resource', s, template)}){conds};"

    def paths(self, t, env):
        """Accesses of a type, each with what has to be tested before."""
        found = []

        def walk(text, at, guards, depth):
            if same(at, t):
                found.append((text, guards))
            if depth == 0:
                return
            attrs = at[1] if at[0] == "Record" else self.entity.get(at[1], {}).get("attrs", {}) if at[0] == "Entity" else {}
            for n, (a, req) in attrs.items():
                step = f"{text}.{n}" if plain(n) and self.r.random() < 0.8 else f"{text}[{string(n)}]"
                walk(step, a, guards + ([] if req else [f"{text} has {key(n)}"]), depth - 1)
            if at[0] == "Entity" and self.entity.get(at[1], {}).get("tags"):
                walk(f"{text}.getTag(\"k\")", self.entity[at[1]]["tags"], guards + [f"{text}.hasTag(\"k\")"], depth - 1)

        for var in ("principal", "resource", "context"):
            walk(var, env[var], [], 3)
        return found

    def expr(self, t, depth, env, noise, known):
        r = self.r
        if r.random() < noise:
            t = self.type(1)
        go = lambda u, d=depth - 1: self.expr(u, d, env, noise, known)
        if depth <= 0 or r.random() < 0.15:
            return self.leaf(t, env, noise)
        if r.random() < 0.3:
            options = self.paths(t, env)
            if options:
                text, guards = r.choice(options)
                if guards and t[0] == "Bool" and r.random() > noise:
                    return "(" + " && ".join(guards + [text]) + ")"
                if not guards or r.random() < 0.3 + noise:
                    return text
                return f"(if {' && '.join(guards)} then {text} else {go(t)})"
        if t[0] == "Bool":
            k = r.randrange(16)
            if k < 3:
                return f"({' && '.join(go(('Bool',)) for _ in range(r.randint(2, 3)))})"
            if k < 5:
                return f"({' || '.join(go(('Bool',)) for _ in range(r.randint(2, 3)))})"
            if k == 5:
                return f"!({go(('Bool',))})"
            if k == 6:
                u = self.type(1)
                return f"({go(u)} {r.choice(['==', '!='])} {go(u)})"
            if k == 7:
                u = r.choice([("Long",), ("Ext", "datetime"), ("Ext", "duration")])
                return f"({go(u)} {r.choice(['<', '<=', '>', '>='])} {go(u)})"
            if k == 8:
                return f"({go(('String',))} like {pattern(r)})"
            if k == 9:
                u = ("Entity", r.choice(self.types))
                return f"({go(u)} in {go(r.choice([('Entity', r.choice(self.types)), ('Set', ('Entity', r.choice(self.types)))]))})"
            if k == 10:
                tail = f" in {go(('Entity', r.choice(self.types)))}" if r.random() < 0.3 else ""
                return f"({go(('Entity', r.choice(self.types)))} is {self.q(r.choice(self.types))}{tail})"
            if k == 11:
                u = self.type(0)
                m = r.choice(["contains", "containsAll", "containsAny"])
                return f"{go(('Set', u))}.{m}({go(u if m == 'contains' else ('Set', u))})"
            if k == 12:
                names = [n for n in NAMES]
                path = ".".join(r.choice([n for n in names if plain(n)]) for _ in range(r.randint(1, 3))) if r.random() < 0.6 else string(r.choice(names))
                return f"({r.choice(['principal', 'resource', 'context'])} has {path})"
            if k == 13:
                return f"{go(('Ext', 'ipaddr'))}.{r.choice(['isIpv4()', 'isIpv6()', 'isLoopback()', 'isMulticast()', 'isInRange(' + go(('Ext', 'ipaddr')) + ')'])}"
            if k == 14:
                return f"{go(('Ext', 'decimal'))}.{r.choice(['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'])}({go(('Ext', 'decimal'))})"
            return r.choice([f"{go(('Set', self.type(0)))}.isEmpty()", f"(action {r.choice(['==', 'in'])} {self.action_text()})", f"{r.choice(['principal', 'resource'])}.hasTag({go(('String',))})"])
        if t[0] == "Long" and r.random() < 0.6:
            k = r.random()
            if k < 0.7:
                return f"({go(t)} {r.choice(['+', '-', '*'])} {go(t)})"
            if k < 0.85:
                return f"-({go(t)})"
            return f"{go(('Ext', 'duration'))}.{r.choice(['toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays'])}()"
        if t == ("Ext", "datetime") and r.random() < 0.4:
            return f"{go(t)}.{r.choice(['offset(' + go(('Ext', 'duration')) + ')', 'toDate()'])}"
        if t == ("Ext", "duration") and r.random() < 0.4:
            return f"{go(('Ext', 'datetime'))}.{r.choice(['durationSince(' + go(('Ext', 'datetime')) + ')', 'toTime()'])}"
        if t[0] == "Set" and r.random() < 0.7:
            return f"[{', '.join(go(t[1]) for _ in range(r.randint(0 if r.random() < 0.1 else 1, 3)))}]"
        if t[0] == "Record" and r.random() < 0.7:
            return "{" + ", ".join(f"{key(n)}: {go(a)}" for n, (a, req) in t[1].items()) + "}"
        if r.random() < 0.3:
            return f"(if {go(('Bool',))} then {go(t)} else {go(t)})"
        return self.leaf(t, env, noise)

    def leaf(self, t, env, noise):
        r = self.r
        if self.unknowns and r.random() < self.unknowns:
            return 'unknown("x")' if r.random() < 0.8 else f"unknown({self.leaf(t, env, noise)})"
        if r.random() < 0.5:
            options = [p for p, guards in self.paths(t, env) if not guards or r.random() < noise]
            if options:
                return r.choice(options)
        if t[0] == "Long":
            return str(r.choice(LONGS))
        if t[0] == "String":
            return string(r.choice(STRINGS), r)
        if t[0] == "Bool":
            return r.choice(["true", "false"])
        if t[0] == "Entity":
            return self.entity_text(t[1])
        if t[0] == "Ext":
            text = r.choice(EXT[t[1]] if r.random() > noise else BAD_EXT[t[1]])
            return f"{ {'ipaddr': 'ip'}.get(t[1], t[1]) }({string(text)})"
        if t[0] == "Set":
            return f"[{self.leaf(t[1], env, noise)}]"
        return "{" + ", ".join(f"{key(n)}: {self.leaf(a, env, noise)}" for n, (a, req) in t[1].items()) + "}"


def same(a, b):
    return a == b


def plain(name):
    return bool(IDENT.match(name)) and name not in RESERVED


def key(name):
    return name if plain(name) else string(name)


def string(text, r=None):
    out = []
    for c in text:
        if r and r.random() < 0.08:
            out.append(f"\\u{{{ord(c):x}}}" if r.random() < 0.6 or ord(c) > 0x7f else f"\\x{ord(c):02x}")
        elif c in "\"\\":
            out.append("\\" + c)
        elif c in "\n\t\r\0":
            out.append({"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}[c])
        else:
            out.append(c)
    return "\"" + "".join(out) + "\""


def pattern(r):
    parts = []
    for _ in range(r.randint(0, 4)):
        parts.append(r.choice(["*", "\\*", "a", "b", " ", "\\\"", "\u00e9", "\\u{2a}", "ab"]))
    return "\"" + "".join(parts) + "\""


STRING = re.compile(r'"(?:\\.|[^"\\])*"')


def respaced(text, r):
    """The same policies with other white space and with comments."""
    out, at = [], 0
    for m in STRING.finditer(text):
        out.append(spaced(text[at:m.start()], r))
        out.append(m.group())
        at = m.end()
    out.append(spaced(text[at:], r))
    return "".join(out)


def spaced(piece, r):
    def space(m):
        k = r.random()
        if k < 0.6:
            return m.group()
        if k < 0.75:
            return r.choice(["  ", "\n", "\t", "\n\n"])
        if k < 0.85:
            return " // " + r.choice(["note", "a \"quote", "x // y", ""]) + "\n"
        return m.group()
    return re.sub(r"\s+", space, piece)


# MARK: the two engines


class Ours:
    def __init__(self, exe):
        self.process = subprocess.Popen([exe], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def __call__(self, case):
        self.process.stdin.write(json.dumps(case, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"cedar-conformance died on {json.dumps(case, ensure_ascii=False)}")
        return json.loads(line)


ERROR_ID = re.compile(r"error while evaluating policy `((?:[^`])*)`")


def reference_authorize(case):
    results = []
    for request in case["requests"]:
        try:
            answer = cedarpy.is_authorized(dict(request), case["policies"], case["entities"], case.get("schema"))
        except Exception as problem:  # the binding raises what it cannot read
            return {"ok": False, "why": str(problem)}
        ids = [ERROR_ID.search(e) for e in answer.diagnostics.errors]
        if answer.decision == cedarpy.Decision.NoDecision or (ids and not all(ids)):
            results.append({"error": answer.diagnostics.errors})
        else:
            results.append({"decision": "allow" if answer.decision == cedarpy.Decision.Allow else "deny", "reason": sorted(answer.diagnostics.reasons),
                            "errors": sorted(m.group(1) for m in ids)})
    return {"ok": True, "results": results}


def compare_authorize(case, ours):
    theirs = reference_authorize(case)
    if not theirs["ok"] or not ours["ok"]:
        # The binding reads policies, schema and entities with every request: one failure stands for all.
        failed = not theirs["ok"] or all("error" in r for r in theirs["results"])
        return None if failed and not ours["ok"] else ("ok", theirs, ours)
    mine = [{"error": True} if "error" in r else {k: r[k] for k in ("decision", "reason", "errors")} for r in ours["results"]]
    his = [{"error": True} if "error" in r else r for r in theirs["results"]]
    return None if mine == his else ("results", theirs["results"], ours["results"])


def compare_validate(case, ours):
    try:
        answer = cedarpy.validate_policies(case["policies"], case["schema"])
    except Exception as problem:
        return None if not ours["ok"] else ("ok", str(problem), ours)
    ids = sorted({e.policy_id for e in answer.errors if e.policy_id})
    if not ours["ok"]:
        return None if not answer.validation_passed and not ids else ("ok", [str(e) for e in answer.errors], ours)
    if answer.validation_passed != ours["valid"] or (ids and ids != ours["errors"]):
        return ("errors", [f"{e.policy_id}: {e.error}" for e in answer.errors], ours.get("messages"))
    return None


def compare_format(case, ours):
    try:
        text = cedarpy.format_policies(case["policies"], case["width"], case["indent"])
    except Exception as problem:
        return None if not ours["ok"] else ("ok", str(problem), ours)
    return None if ours["ok"] and ours["text"] == text else ("text", text, ours.get("text", ours))


WORDS = ["entity", "action", "type", "namespace", "in", "enum", "tags", "appliesTo", "principal", "resource", "context", "attributes", "Set", "Long", "String",
         "Bool", "Boolean", "ipaddr", "__cedar", "__cedar::Long", "Action", "User", "Group", "NS", "if", "x", "\"x\"", "{", "}", "[", "]", "<", ">", ",", ";", ":", "::", "=", "?",
         "@a", "@a(\"b\")", "(", ")", "type T = Long;", "entity Long;", "action a;", "// c\n", "'x'", "1", "\u00e9"]
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[_a-zA-Z][_a-zA-Z0-9]*|::|\s+|.')


def mutated_text(text, r):
    tokens = TOKEN.findall(text)
    for _ in range(r.randint(1, 3)):
        at = r.randrange(len(tokens))
        k = r.random()
        if k < 0.25:
            tokens[at] = ""
        elif k < 0.5:
            tokens[at] = r.choice(WORDS)
        elif k < 0.7:
            tokens.insert(at, f" {r.choice(WORDS)} ")
        elif k < 0.85:
            tokens.insert(at, r.choice(tokens))
        else:
            other = r.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


def mutated_json(value, r):
    value = json.loads(json.dumps(value))
    places = []

    def walk(x):
        if isinstance(x, dict):
            places.extend((x, k) for k in x)
            for v in x.values():
                walk(v)
        elif isinstance(x, list):
            places.extend((x, i) for i in range(len(x)))
            for v in x:
                walk(v)

    walk(value)
    strings = ["Long", "Bool", "Boolean", "Set", "Record", "Entity", "Extension", "EntityOrCommon", "ipaddr", "ip", "User", "NS::User", "__cedar::Long", "Action", "if", "", "A B", "type", "name",
               "required", "annotations", "memberOf", "memberOfTypes", "tags", "shape", "enum", "element", "attributes", "additionalAttributes", "commonTypes", "appliesTo", "context"]
    for _ in range(r.randint(1, 2)):
        box, key_ = r.choice(places)
        try:
            old = box[key_]
        except (KeyError, IndexError):
            continue
        k = r.random()
        if k < 0.25:
            del box[key_]
        elif k < 0.45 and isinstance(box, dict):
            del box[key_]
            box[r.choice(strings)] = old
        elif k < 0.75:
            box[key_] = r.choice([None, True, False, 1, "x", [], {}, {"type": "Long"}, ["User"], r.choice(strings), {"type": r.choice(strings)}, {"type": "Set", "element": {"type": r.choice(strings)}}])
        elif isinstance(old, str):
            box[key_] = r.choice(strings)
        elif isinstance(box, dict):
            box[r.choice(strings)] = r.choice([None, True, {}, [], {"type": "Long"}, "x", {"a": "b"}])
    return value


def reference_schema(schema):
    return cedarpy.Schema.from_str(schema) if isinstance(schema, str) else cedarpy.Schema.from_json_str(json.dumps(schema))


def compare_entities(case, ours):
    try:
        schema = reference_schema(case["schema"]) if "schema" in case else None
        theirs = len(cedarpy.Entities.from_json_str(json.dumps(case["entities"]), schema))
    except ValueError as problem:
        return None if not ours["ok"] else ("ok", str(problem), ours)
    if not ours["ok"]:
        # As with schemas: an array by position where an object is meant.
        return None if "but got an array" in ours.get("message", "") else ("ok", theirs, ours)
    return None if theirs == ours["count"] else ("count", theirs, ours)


def compare_schema(case, ours):
    try:
        reference_schema(case["schema"])
        theirs = True
    except ValueError:
        theirs = False
    # The reference's JSON library also takes an array for an object, by position. No format says so; we refuse it.
    if theirs and re.search("invalid type: an array, expected .* as an object", ours.get("message", "")):
        return None
    return None if theirs == ours["ok"] else ("ok", theirs, ours)


def normal(policies):
    def ref(x):
        return x["__entity"] if isinstance(x, dict) and list(x) == ["__entity"] else x

    def walk(x):
        if isinstance(x, dict):
            return {k: walk(ref(v) if k in ("entity",) else [ref(e) for e in v] if k == "entities" and isinstance(v, list) else v) for k, v in x.items()}
        return [walk(e) for e in x] if isinstance(x, list) else x
    return walk(policies)


def compare_json(case, ours):
    try:
        theirs = json.loads(cedarpy.policies_to_json_str(case["policies"]))
    except Exception as problem:
        return None if not ours["ok"] else ("ok", str(problem), ours)
    if not ours["ok"]:
        return ("ok", theirs, ours)
    if normal(theirs) != normal(ours["json"]):
        return ("json", theirs, ours["json"])
    return None


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--exe", required=True)
    args.add_argument("--minutes", type=float, default=1)
    args.add_argument("--seed", type=int, default=int(time.time()))
    args.add_argument("--only", default="authorize,validate,format,json,schema,entities")
    args.add_argument("--keep")
    args.add_argument("--show", type=int, default=5)
    args = args.parse_args()
    only = set(args.only.split(","))
    ours = Ours(args.exe)
    counts, failed, seed, end = {}, 0, args.seed, time.time() + 60 * args.minutes

    def hold(name, case, compare):
        nonlocal failed
        counts[name] = counts.get(name, 0) + 1
        difference = compare(case, ours(case))
        if difference:
            failed += 1
            if failed <= args.show:
                print(f"DIFFERENCE in {name}, seed {seed}\n{json.dumps(case, ensure_ascii=False)}\n  field {difference[0]}\n  reference {difference[1]}\n  ours {difference[2]}\n")
            if args.keep:
                with open(args.keep, "a", encoding="utf-8") as keep:
                    keep.write(json.dumps(dict(case, difference=difference[0]), ensure_ascii=False, default=str) + "\n")

    while time.time() < end:
        seed += 1
        world = World(seed)
        r = world.r
        policies = "\n".join(world.policy() for _ in range(r.randint(1, 5)))
        schema = world.schema_text() if r.random() < 0.6 else world.schema_json()
        if "authorize" in only:
            noise = r.choice([0, 0, 0.05, 0.2])
            case = {"op": "authorize", "policies": policies, "entities": world.entities(noise), "requests": [world.request(noise) for _ in range(4)]}
            if r.random() < 0.4:
                case["schema"] = schema
            hold("authorize", case, compare_authorize)
        if "validate" in only:
            hold("validate", {"op": "validate", "policies": policies, "schema": schema}, compare_validate)
            templates = "\n".join(world.policy(template=True) for _ in range(r.randint(1, 3)))
            hold("validate", {"op": "validate", "policies": templates, "schema": schema}, compare_validate)
        if "entities" in only:
            for _ in range(3):
                entities = world.entities(r.choice([0, 0.05])) or [{"uid": {"type": "User", "id": "a"}, "attrs": {}, "parents": []}]
                case = {"op": "parse_entities", "entities": mutated_json(entities, r) if r.random() < 0.8 else entities}
                if r.random() < 0.6:
                    case["schema"] = world.schema_text() if r.random() < 0.5 else world.schema_json()
                if isinstance(case["entities"], list):
                    hold("parse_entities", case, compare_entities)
        if "schema" in only:
            for _ in range(3):
                hold("parse_schema", {"op": "parse_schema", "schema": mutated_text(world.schema_text(), r)}, compare_schema)
                hold("parse_schema", {"op": "parse_schema", "schema": mutated_json(world.schema_json(), r)}, compare_schema)
        text = respaced(policies + "\n" + world.policy(template=True), r)
        if r.random() < 0.1:  # a slip: most such texts are no policies any more
            at = r.randrange(len(text))
            text = text[:at] + r.choice(["", ";", "(", "\"", "//", " ", "=", "is", "\\"]) + text[at + r.randint(0, 2):]
        if "format" in only:
            hold("format", {"op": "format", "policies": text, "width": r.choice([80, 80, 40, 120, 20]), "indent": r.choice([2, 2, 4])}, compare_format)
        if "json" in only:
            hold("to_json", {"op": "to_json", "policies": text}, compare_json)
    print(f"differential: seeds {args.seed + 1} to {seed}, " + ", ".join(f"{v} {k}" for k, v in sorted(counts.items())) + f", {failed} differences")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
