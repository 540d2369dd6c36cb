#!/usr/bin/env python3
"""Holds cedar-conformance against the reference engine (cedarpy, from PyPI) on what policies look like, not on what they mean.

usage: policy_text.py --exe PATH [--minutes N] [--seed N]

Policy texts with odd white space, comments in every place, every form of expression and several widths are formatted by
both, byte for byte; translated to JSON by both; read back from JSON, printed by us and read again by the reference. JSON
policy sets with members lost, renamed, doubled or replaced are accepted or refused by both alike. Exit code 1 if anything
differs; a difference is printed with everything needed to repeat it.
"""
import argparse
import copy
import json
import random
import subprocess
import sys
import time

import cedarpy

SPACES = ["\n", "\n\n\n", "\t", "\r\n", "\u00a0", "\u2003"]
COMMENTS = ["// c", "//", '//x "q" y', "// é 😀", "// 中文 z  ", "//\ta\t", "/// d // e", '// "', "// \u00a0x\u3000", "// a\r // b"]
COMMENT_ENDS = ["\n", "\n\n", "\r\n", "\n  \n", "\r", "\n// more\n", "\n\n// two\n// three\n"]
IDENTIFIERS = ["a", "b", "foo", "permit", "when", "principal_x", "_x", "context", "action", "verylongattributename", "x1"]
STRINGS = ['"a"', '"é 😀"', '"中文字"', '"x\\n"', '"a // b"', '"\\u{41}"', '"a\nb"', '"  "', '"a\n\n\nb"', '"\\"q"', '"k"']
JUNK = [
    None, True, 0, -1, 1.5, 2**63, -(2**63), 2**63 - 1, "", "x", "if", "__cedar", "A::B", "A :: B", "?principal", "Wildcard", [], {}, ["x"], {"a": 1},
    {"Value": 1}, {"Var": "principal"}, {"type": "User", "id": "x"}, {"__entity": {"type": "User", "id": "x"}}, {"__extn": {"fn": "ip", "arg": "1"}},
    {"__expr": "1"}, [{"Value": 1}], {"Literal": "ab"}, {"slot": "?resource"}, {"entity": {"type": "Action", "id": "a"}},
]
KEYS = (
    "Value Var Slot ! neg == != in < <= > >= && || + - * contains containsAll containsAny isEmpty getTag hasTag . has like is if-then-else Set Record "
    "ip decimal isInRange lessThan unknown datetime left right arg attr pattern entity_type op entity entities slot kind body effect principal action "
    "resource conditions annotations staticPolicies templates templateLinks templateId newId values fn args type id __entity __extn zz All all"
).split()


class Texts:
    """Policy texts from a seed: tokens first, then what stands between them."""

    def __init__(self, seed, comments):
        self.r = random.Random(seed)
        self.comments = comments

    def between(self, needed):
        r, x = self.r, self.r.random()
        if self.comments and x < 0.06:
            return r.choice(["", " ", "\n", "\n\n", "\r\n"]) + r.choice(COMMENTS) + r.choice(COMMENT_ENDS)
        if x < 0.12:
            return r.choice(SPACES)
        return " " if needed or x < 0.5 else ""

    def joined(self, tokens):
        out, before = "", ""
        for token in tokens:
            touching = before and (before[-1].isalnum() or before[-1] == "_") and (token[0].isalnum() or token[0] == "_")
            out += self.between(bool(touching)) + token
            before = token
        return out + self.between(False)

    def text(self, count=None):
        tokens = []
        for _ in range(count or self.r.choice([1, 1, 1, 2, 3])):
            tokens += self.policy()
        return self.joined(tokens)

    def identifier(self):
        return self.r.choice(IDENTIFIERS)

    def string(self):
        return '"' + "z" * self.r.randint(1, 40) + '"' if self.r.random() < 0.1 else self.r.choice(STRINGS)

    def name(self):
        tokens = [self.r.choice(["User", "T", "NS", "Photo", "A"])]
        while self.r.random() < 0.25:
            tokens += ["::", self.r.choice(["B", "C", "Sub"])]
        return tokens

    def uid(self):
        return self.name() + ["::", self.string()]

    def action(self):
        return (["NS", "::"] if self.r.random() < 0.3 else []) + ["Action", "::", self.string()]

    def listed(self, element, count):
        tokens = []
        for index in range(count):
            tokens += ([","] if index else []) + element()
        return tokens + ([","] if count and self.r.random() < 0.15 else [])

    def primary(self, depth):
        r, x = self.r, self.r.random()
        if depth <= 0 or x < 0.35:
            plain = [["true"], ["false"], [str(r.randint(0, 10 ** r.randint(1, 15)))], [self.string()], ["principal"], ["resource"], ["context"], ["007"]]
            return r.choice(plain + [self.uid()])
        if x < 0.5:
            return ["("] + self.expression(depth - 1) + [")"]
        if x < 0.62:
            return ["["] + self.listed(lambda: self.expression(depth - 2), r.randint(0, 4)) + ["]"]
        if x < 0.72:
            keys = r.sample(["a", "b", '"c d"', '"if"', "longkeyname", "e"], r.randint(0, 4))
            left = iter(keys)
            return ["{"] + self.listed(lambda: [next(left), ":"] + self.expression(depth - 2), len(keys)) + ["}"]
        if x < 0.82:
            function = r.choice(["ip", "decimal", "datetime", "duration"])
            return [function, "("] + self.listed(lambda: self.expression(depth - 2), r.randint(0, 2)) + [")"]
        return [r.choice(["principal", "resource", "context"])]

    def member(self, depth):
        tokens, r = self.primary(depth), self.r
        while r.random() < 0.35:
            x = r.random()
            if x < 0.45:
                tokens += [".", self.identifier()]
            elif x < 0.7:
                tokens += ["[", self.string(), "]"]
            elif x < 0.8:
                tokens += [".", "isEmpty", "(", ")"]
            else:
                method = r.choice(["contains", "containsAll", "hasTag", "getTag", "containsAny"])
                tokens += [".", method, "("] + self.listed(lambda: self.expression(depth - 2), 1) + [")"]
        return tokens

    def unary(self, depth):
        x = self.r.random()
        sign = ["!"] if x < 0.08 else ["-"] if x < 0.14 else []
        return sign * self.r.randint(1, 4) + self.member(depth)

    def chain(self, operand, signs, more, depth):
        tokens = operand(depth)
        while self.r.random() < more:
            tokens += [self.r.choice(signs)] + operand(depth - 1)
        return tokens

    def sum(self, depth):
        return self.chain(lambda d: self.chain(self.unary, ["*"], 0.07, d), ["+", "-"], 0.1, depth)

    def path(self):
        tokens = [self.identifier()]
        while self.r.random() < 0.4:
            tokens += [".", self.identifier()]
        return tokens

    def relation(self, depth):
        tokens, x = self.sum(depth), self.r.random()
        if x < 0.35:
            return tokens + [self.r.choice(["==", "!=", "<", "<=", ">", ">=", "in"])] + self.sum(depth - 1)
        if x < 0.45:
            return tokens + ["has"] + ([self.string()] if self.r.random() < 0.3 else self.path())
        if x < 0.52:
            return tokens + ["like", self.string()]
        if x < 0.63:
            return tokens + ["is"] + self.name() + (["in"] + self.sum(depth - 1) if x > 0.58 else [])
        return tokens

    def expression(self, depth):
        if depth > 0 and self.r.random() < 0.1:
            return ["if"] + self.expression(depth - 1) + ["then"] + self.expression(depth - 1) + ["else"] + self.expression(depth - 1)
        return self.chain(lambda d: self.chain(self.relation, ["&&"], 0.25, d), ["||"], 0.2, depth)

    def scope(self, variable):
        r, x = self.r, self.r.random()
        if variable == "action":
            if x < 0.5:
                return [variable]
            if x < 0.8:
                return [variable, "==" if x < 0.7 else "in"] + self.action()
            return [variable, "in", "["] + self.listed(self.action, r.randint(0, 4)) + ["]"]
        reference = ["?" + variable] if r.random() < 0.3 else ["("] + self.uid() + [")"] if r.random() < 0.1 else self.uid()
        if x < 0.45:
            return [variable]
        if x < 0.7:
            return [variable, "==" if x < 0.6 else "in"] + reference
        return [variable, "is"] + self.name() + ([] if x < 0.85 else ["in"] + reference)

    def policy(self):
        r, tokens = self.r, []
        for key in r.sample(["id", "a", "if", "_x", "note"], r.choice([0, 0, 0, 1, 2])):
            tokens += ["@", key] + (["(", self.string(), ")"] if r.random() < 0.7 else [])
        tokens += [r.choice(["permit", "forbid"]), "("] + self.scope("principal") + [","] + self.scope("action") + [","] + self.scope("resource")
        tokens += ([","] if r.random() < 0.1 else []) + [")"]
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            tokens += [r.choice(["when", "unless"]), "{"] + self.expression(r.randint(0, 5)) + ["}"]
        return tokens + [";"]


def paths(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from paths(value[key], path + (key,))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def mutated(value, r):
    """The value with one thing wrong with it, probably."""
    value = copy.deepcopy(value)
    everywhere = list(paths(value))
    path = r.choice(everywhere[1:])
    parent, key, x = at(value, path[:-1]), path[-1], r.random()
    if x < 0.35:
        parent[key] = r.choice(JUNK)
    elif x < 0.5:
        del parent[key]
    elif x < 0.65 and isinstance(parent, dict):
        parent[r.choice(KEYS)] = parent.pop(key)
    elif x < 0.75 and isinstance(parent, dict):
        parent[r.choice(KEYS)] = r.choice(JUNK)
    elif x < 0.85:
        parent[key] = copy.deepcopy(at(value, r.choice(everywhere)))
    elif isinstance(parent, list):
        parent.insert(key, r.choice(JUNK))
    else:
        parent[key] = [parent[key]]
    return value


class Run:
    def __init__(self, executable):
        self.executable = executable
        self.counts = {}
        self.different = 0

    def ask(self, cases):
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        answers = subprocess.run([self.executable], input=lines, capture_output=True, text=True).stdout.splitlines()
        if len(answers) != len(cases):
            sys.exit(f"{len(cases)} questions, {len(answers)} answers: cedar-conformance ended on\n{json.dumps(cases[len(answers)])}")
        return [json.loads(answer) for answer in answers]

    def note(self, what, same, **case):
        self.counts[what] = self.counts.get(what, 0) + 1
        if not same:
            self.different += 1
            if self.different <= 10:
                print(f"DIFFERENT {what}: {json.dumps(case, ensure_ascii=False)}")

    def format(self, seeds):
        cases = []
        for seed in seeds:
            texts = Texts(seed, comments=seed % 3 != 0)
            cases.append({"op": "format", "policies": texts.text(), "width": texts.r.choice([80, 80, 40, 20, 1, 120]), "indent": texts.r.choice([2, 2, 0, 1, 4, 8])})
        for case, answer in zip(cases, self.ask(cases)):
            expected = cedarpy.format_policies(case["policies"], case["width"], case["indent"])
            self.note("format", answer.get("text") == expected, case=case, expected=expected, got=answer)

    def translate(self, seeds):
        texts = [Texts(seed, comments=False).text() for seed in seeds]
        expected = [json.loads(cedarpy.policies_to_json_str(text)) for text in texts]
        for text, json_set, answer in zip(texts, expected, self.ask([{"op": "to_json", "policies": text} for text in texts])):
            self.note("to_json", answer.get("json") == json_set, policies=text, expected=json_set, got=answer)
        for json_set, answer in zip(expected, self.ask([{"op": "from_json", "policies": json_set} for json_set in expected])):
            self.note("from_json", answer.get("json") == json_set, policies=json_set, got=answer)
            try:
                again = json.loads(cedarpy.policies_to_json_str(answer["cedar"]))
                self.note("print", bodies(again) == bodies(json_set), policies=json_set, printed=answer["cedar"])
            except Exception as error:
                self.note("print", False, policies=json_set, got=answer, error=str(error))

    def mutate(self, seeds):
        sets = []
        for seed in seeds:
            texts = Texts(seed, comments=False)
            json_set, r = json.loads(cedarpy.policies_to_json_str(texts.text(1))), texts.r
            for template in json_set["templates"]:
                slots = [slot for slot in ("?principal", "?resource") if slot in json.dumps(json_set)]
                json_set["templateLinks"] = [{"templateId": template, "newId": "l", "values": {slot: {"type": "U", "id": "u"} for slot in slots}}]
            for _ in range(r.choice([0, 1, 1, 1, 2])):
                json_set = mutated(json_set, r)
            sets.append(json_set)
        for json_set, answer in zip(sets, self.ask([{"op": "from_json", "policies": json_set} for json_set in sets])):
            try:
                cedarpy.policies_from_json_str(json.dumps(json_set))
                accepted = True
            except Exception:
                accepted = False
            self.note("accept" if accepted else "refuse", accepted == answer["ok"], policies=json_set, reference=accepted, got=answer)


def bodies(json_set):
    return sorted(json.dumps(policy, sort_keys=True) for part in ("staticPolicies", "templates") for policy in json_set[part].values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--exe", required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    run = Run(arguments.exe)
    end = time.time() + 60 * arguments.minutes
    seed = arguments.seed * 1_000_000
    while time.time() < end:
        for stage in (run.format, run.translate, run.mutate):
            stage(range(seed, seed + 100))
        seed += 100
    print(f"seed {arguments.seed}: " + ", ".join(f"{what} {count}" for what, count in sorted(run.counts.items())) + f"; {run.different} different")
    return 1 if run.different else 0


if __name__ == "__main__":
    sys.exit(main())
