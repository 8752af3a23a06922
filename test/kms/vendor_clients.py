"""The vendors' own clients, for the tests: they must be able to talk to our
fakes and to unwrap what pgseal wrapped.

Prints {}; then answers lines of JSON on stdin: {"client": "aws", "url":, "wrap":
hex or "unwrap": hex, "context": {...}, ...} with {"hex":, "key":} or {"error":}.
"""

import base64
import json
import sys
from urllib.parse import urlsplit

import boto3
import google_crc32c
import hvac
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.keyvault.keys._generated import KeyVaultClient
from azure.keyvault.keys._generated.models import KeyOperationsParameters
from google.auth.credentials import Credentials
from google.cloud import kms
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceRestTransport


def canonical(context):
    """The context in pgseal's own spelling, where it is bytes to the service."""
    context = {name: context[name] for name in ("pgseal_key", "pgseal_purpose", "pgseal_key_version")}
    return json.dumps(context, separators=(",", ":")).encode()


def aws(r):
    client = boto3.client("kms", endpoint_url=r["url"], region_name="eu-west-1",
                          aws_access_key_id=r["id"], aws_secret_access_key=r["secret"])
    if "wrap" in r:
        reply = client.encrypt(KeyId=r["key"], Plaintext=bytes.fromhex(r["wrap"]), EncryptionContext=r["context"])
        return reply["CiphertextBlob"], reply["KeyId"]
    return client.decrypt(CiphertextBlob=bytes.fromhex(r["unwrap"]), EncryptionContext=r["context"], KeyId=r["key"])["Plaintext"], ""


def vault(r):
    transit = hvac.Client(url=r["url"], token=r["token"]).secrets.transit
    context = base64.b64encode(canonical(r["context"])).decode()
    if "wrap" in r:
        plaintext = base64.b64encode(bytes.fromhex(r["wrap"])).decode()
        text = transit.encrypt_data(name=r["key"], plaintext=plaintext, context=context)["data"]["ciphertext"]
        return text.encode(), r["key"] + ":" + text.split(":")[1]
    return base64.b64decode(transit.decrypt_data(name=r["key"], ciphertext=bytes.fromhex(r["unwrap"]).decode(),
                                                 context=context)["data"]["plaintext"]), ""


class AzureToken:
    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **kwargs):
        return AccessToken(self.token, 4102444800)


class Plain(SansIOHTTPPolicy):
    """KeyClient's own policy insists on https://, which the fake has not; so KeyVaultClient below it with this one."""

    def __init__(self, token):
        self.token = token

    def on_request(self, request):
        request.http_request.headers["Authorization"] = "Bearer " + self.token


def azure(r):
    client = KeyVaultClient(r["url"], AzureToken(r["token"]), api_version="7.4", authentication_policy=Plain(r["token"]))
    if "wrap" in r:
        reply = client.wrap_key(r["key"], "", KeyOperationsParameters(algorithm="RSA-OAEP-256", value=bytes.fromhex(r["wrap"])))
        return reply.result, reply.kid
    name, version = urlsplit(r["key"]).path.split("/")[2:4]
    return client.unwrap_key(name, version, KeyOperationsParameters(algorithm="RSA-OAEP-256", value=bytes.fromhex(r["unwrap"]))).result, ""


class GoogleToken(Credentials):
    def refresh(self, request):
        pass


def google(r):
    credentials = GoogleToken()
    credentials.token = r["token"]
    transport = KeyManagementServiceRestTransport(host=urlsplit(r["url"]).netloc, url_scheme="http", credentials=credentials)
    client = kms.KeyManagementServiceClient(transport=transport)
    aad = canonical(r["context"])
    data = bytes.fromhex(r.get("wrap") or r["unwrap"])
    request = {"name": r["key"], "additional_authenticated_data": aad,
               "additional_authenticated_data_crc32c": google_crc32c.value(aad)}
    if "wrap" in r:
        reply = client.encrypt({**request, "plaintext": data, "plaintext_crc32c": google_crc32c.value(data)})
        assert reply.verified_plaintext_crc32c and reply.verified_additional_authenticated_data_crc32c
        assert reply.ciphertext_crc32c == google_crc32c.value(reply.ciphertext)
        return reply.ciphertext, reply.name
    reply = client.decrypt({**request, "ciphertext": data, "ciphertext_crc32c": google_crc32c.value(data)})
    assert reply.plaintext_crc32c == google_crc32c.value(reply.plaintext)
    return reply.plaintext, ""


def main():
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            data, key = globals()[request["client"]](request)
            print(json.dumps({"hex": data.hex(), "key": key}), flush=True)
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)


main()
