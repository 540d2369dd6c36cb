"""Writes what botocore makes of random requests and of every region: the cases of Tests/AWSTests.

    .build/python/bin/python Tests/Deep/aws_cases.py

The random requests have a fixed seed: the same botocore writes the same files.
"""

import datetime
import json
import pathlib
import random
import string
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "AWSTests/Golden"
SERVICES = ["verifiedpermissions", "sts", "cognito-identity"]
TEXT = string.ascii_letters + string.digits + "-._~ /+%&=?:;,!*'()@$é漢😀"


def word(chance, least=0, most=12, letters=TEXT):
    return "".join(chance.choice(letters) for _ in range(chance.randint(least, most)))


def signed(chance):
    session = word(chance, 1, 60, string.ascii_letters + "+/=") if chance.random() < 0.5 else None
    secret = word(chance, 1, 50, string.ascii_letters + "+/")
    key = "AKIA" + word(chance, 8, 16, string.ascii_uppercase)
    region = chance.choice(["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", word(chance, 1, 20, "abc-1")])
    service = chance.choice(["verifiedpermissions", "execute-api", "lambda", "es"])
    path = "/" + "/".join(quote(chance.choice([word(chance), ".", "..", "", "a b"]), safe="-._~") for _ in range(chance.randint(0, 5)))
    pairs = [(word(chance, 1), word(chance)) for _ in range(chance.randint(0, 5))]
    # Encoded as the canonical form encodes: botocore takes the pairs as they stand.
    query = "&".join(f"{quote(n, safe='-._~')}={quote(v, safe='-._~')}" for n, v in pairs)
    fields = [("host", word(chance, 1, 20, "abc.-1"))]
    fields += [(f"X-{word(chance, 1, 8, 'abcABC-')}x{i}", word(chance, 0, 20, "ab \t c,;=")) for i in range(chance.randint(0, 4))]
    if chance.random() < 0.5:
        fields.append(("Content-Type", "application/x-amz-json-1.0"))
    body = word(chance, 0, 80).encode()
    seconds = chance.randint(1, 4_000_000_000)
    method = chance.choice(["GET", "POST", "PUT", "DELETE"])
    request = AWSRequest(method=method, url=f"https://example.com{path}" + (f"?{query}" if query else ""), data=body, headers=dict(fields))
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    names = [n for n in ("get_current_datetime",) if hasattr(botocore.auth, n)]
    assert names, "botocore takes its time from elsewhere now"
    with mock.patch.object(botocore.auth, names[0], lambda remove_tzinfo=True: moment.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(Credentials(key, secret, session), service, region).add_auth(request)
    fields.append(("X-Amz-Date", request.headers["X-Amz-Date"]))
    if session:
        fields.append(("X-Amz-Security-Token", session))
    return {
        "key": key, "secret": secret, "session": session, "region": region, "service": service, "seconds": seconds, "method": method,
        "path": path, "query": query, "fields": fields, "body": body.decode(), "authorization": request.headers["Authorization"],
    }  # fmt: skip


def endpoints():
    # The rules themselves: a client's `meta.endpoint_url` comes from an older table.
    loader = botocore.session.Session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    regions = sorted(r for p in partitions["partitions"] for r in p["regions"] if r.count("-") >= 2 and "global" not in r)
    for service in SERVICES:
        rules = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
        for region in regions:
            for fips in (False, True):
                for dual in (False, True):
                    url = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual).url
                    yield {"service": service, "region": region, "fips": fips, "dualStack": dual, "url": url}


def write(name, lines):
    (FOLDER / name).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


if __name__ == "__main__":
    chance = random.Random(20261125)
    write("botocore-requests.jsonl", [signed(chance) for _ in range(300)])
    write("botocore-endpoints.jsonl", endpoints())
