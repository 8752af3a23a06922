"""Runs moto's server with signature and IAM checks, and a key and users in it:
run_moto.py POLICY, which is what the user "app" may do.

Prints a line of JSON: what the test needs.  Then answers lines of JSON on
stdin, by AWS's own client (boto3): {"client": "kms", "call": "decrypt",
"arguments": {...}}; bytes are {"base64": "..."}.  Ends with stdin.
"""

import base64
import json
import logging
import sys
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"


def policy(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]})


def to_bytes(value):
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    return value


def show(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://127.0.0.1:%d" % server.get_host_and_port()[1]

    def client(name, key=None):
        return boto3.client(name, endpoint_url=url, region_name=REGION,
                            aws_access_key_id=key["AccessKeyId"] if key else "setup",
                            aws_secret_access_key=key["SecretAccessKey"] if key else "setup")

    iam = client("iam")
    keys = {}
    for user, document in (("admin", policy(["*"])), ("app", sys.argv[1]), ("reader", policy(["kms:DescribeKey"])),
                           ("assumer", policy(["sts:AssumeRole"]))):
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
        keys[user] = iam.create_access_key(UserName=user)["AccessKey"]
    role = iam.create_role(RoleName="sealer", AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                 "Principal": {"AWS": "*"}}]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="sealer", PolicyName="p", PolicyDocument=sys.argv[1])
    kms = client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    other = kms.create_key()["KeyMetadata"]["Arn"]
    session = client("sts", keys["assumer"]).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    kms.create_alias(AliasName="alias/pii", TargetKeyId=arn)
    # from now on (after 0 more requests) signatures and policies are checked
    urllib.request.urlopen(urllib.request.Request(url + "/moto-api/reset-auth", data=b"0",
                                                  headers={"Content-Type": "text/plain"}))

    print(json.dumps({"url": url, "arn": arn, "other": other, "role": role, "region": REGION,
                      "users": {u: [k["AccessKeyId"], k["SecretAccessKey"]] for u, k in keys.items()},
                      "session": [session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]]}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        arguments = {k: to_bytes(v) for k, v in request["arguments"].items()}
        try:
            reply = getattr(client(request["client"], keys["admin"]), request["call"])(**arguments)
            print(json.dumps({k: show(v) for k, v in reply.items() if k != "ResponseMetadata"}), flush=True)
        except Exception as error:
            print(json.dumps({"error": str(error)}), flush=True)
    server.stop()


main()
