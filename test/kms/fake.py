#!/usr/bin/env python3
"""Fake key management services for the tests: AWS (KMS, STS, metadata), Vault,
Azure and Google, with faults that the test chooses.

Binds port 0 of 127.0.0.1 and prints the port.  Stricter than emulators: it
verifies signatures and their time, tokens, key states, contexts, base64
alphabets and checksums, and refuses members that the real service doesn't know.
Its ciphers are toys; only the protocol is real.

POST /_control {"state": {...}, "faults": [{"match": "Decrypt", "kind": ..., "times": n, ...}]}
GET  /_log     the requests so far: [{"op":, "headers":, "body":}]

Kinds of fault: status (with "status", "body", "headers"), reset, reset_mid,
slow ("seconds"), truncate, oversize, malformed, replace ("old", "new": in the
reply's text).
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

LOCK = threading.Lock()
LOG = []
FAULTS = []
STATE = {
    "clock_offset": 0,
    "access_keys": {"AKIDEXAMPLE": {"secret": "secretEXAMPLE", "token": None}},
    "key_state": "Enabled",
    "material": "m1",
    "deny": [],
    # Vault
    "tokens": ["root-token"],
    "secret_ids": {"role-1": "secret-1"},
    "lease": 3600,
    "renewals": True,
    "version": 1,
    "min_version": 1,
    "sealed": False,
    "vault_keys": ["pii"],
    "logins": 0,
    # Azure, Google
    "bearer": ["bearer-token"],
    "bearer_seconds": 3600,
    "bad_crc": False,
}
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MASTER = b"the fake's master key"


class Refusal(Exception):
    """An answer that isn't a success: status, body, headers."""

    def __init__(self, status, body, headers=None):
        super().__init__(body)
        self.status, self.body, self.headers = status, body, headers or {}


def seal(secret, binding):
    """A toy cipher: stream and MAC from HMAC, bound to binding."""
    nonce = os.urandom(12)
    stream = hmac.new(MASTER, nonce + b"stream", hashlib.sha256).digest() * (len(secret) // 32 + 1)
    body = bytes(a ^ b for a, b in zip(secret, stream))
    return nonce + body + hmac.new(MASTER, nonce + body + binding, hashlib.sha256).digest()


def unseal(blob, binding):
    nonce, body, mac = blob[:12], blob[12:-32], blob[-32:]
    if not hmac.compare_digest(mac, hmac.new(MASTER, nonce + body + binding, hashlib.sha256).digest()):
        return None
    stream = hmac.new(MASTER, nonce + b"stream", hashlib.sha256).digest() * (len(body) // 32 + 1)
    return bytes(a ^ b for a, b in zip(body, stream))


def strict_b64(text):
    return base64.b64decode(text, validate=True)


def b64(data):
    return base64.b64encode(data).decode()


def only(body, *names):
    extra = set(body) - set(names)
    if extra:
        raise Refusal(400, json.dumps({"__type": "ValidationException", "message": f"unknown members {sorted(extra)}"}))


def now():
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=STATE["clock_offset"])


# ---- AWS ----

def aws_error(code, message, status=400):
    return Refusal(status, json.dumps({"__type": code, "message": message}), {"x-amzn-RequestId": "req-" + code[:20]})


def check_sigv4(handler, body, service):
    """Verifies the signature as AWS documents it; returns the access key."""
    auth = handler.headers.get("Authorization", "")
    if not auth.startswith("AWS4-HMAC-SHA256 "):
        raise aws_error("MissingAuthenticationTokenException", "no signature")
    parts = dict(p.strip().split("=", 1) for p in auth.split(" ", 1)[1].split(","))
    key_id, date, region, got_service, _ = parts["Credential"].split("/")
    key = STATE["access_keys"].get(key_id)
    if key is None:
        raise aws_error("UnrecognizedClientException", "The security token included in the request is invalid.")
    token = handler.headers.get("X-Amz-Security-Token")
    if key.get("expired"):
        raise aws_error("ExpiredTokenException", "The security token included in the request is expired")
    if token != key["token"]:
        raise aws_error("UnrecognizedClientException", "The security token included in the request is invalid.")
    stamp = handler.headers["X-Amz-Date"]
    signed = parts["SignedHeaders"].split(";")
    must = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set())
    if not must <= set(signed) or signed != sorted(signed) or got_service != service:
        raise aws_error("InvalidSignatureException", "headers that must be signed are not")
    canonical = "\n".join([
        handler.command, "/", "",
        "".join(f"{h}:{' '.join(handler.headers[h].split())}\n" for h in signed),
        parts["SignedHeaders"], hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{date}/{region}/{service}/aws4_request",
                         hashlib.sha256(canonical.encode()).hexdigest()])
    mac = ("AWS4" + key["secret"]).encode()
    for part in (date, region, service, "aws4_request", to_sign):
        mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
    if mac.hex() != parts["Signature"]:
        raise aws_error("InvalidSignatureException", "The request signature we calculated does not match")
    age = (now() - datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)).total_seconds()
    if abs(age) > 300:
        raise aws_error("InvalidSignatureException",
                        f"Signature {'expired' if age > 0 else 'not yet current'}: {stamp}")
    return key_id


def context_bytes(context):
    if not isinstance(context, dict) or not all(isinstance(v, str) for v in context.values()):
        raise aws_error("ValidationException", "EncryptionContext must map strings to strings")
    return json.dumps(context, sort_keys=True).encode()


def aws_kms(handler, op, body):
    check_sigv4(handler, body, "kms")
    if handler.headers.get("Content-Type") != "application/x-amz-json-1.1":
        raise aws_error("SerializationException", "content type")
    request = json.loads(body)
    if op in STATE["deny"]:
        raise aws_error("AccessDeniedException", f"User is not authorized to perform: kms:{op}")
    for member in ("KeyId", "SourceKeyId", "DestinationKeyId"):
        if member in request and request[member] not in (ARN, ARN.split("/")[1], "alias/pii"):
            if member == "KeyId" and op == "Decrypt":
                raise aws_error("IncorrectKeyException", "")
            raise aws_error("NotFoundException", f"Key '{request[member]}' does not exist")
    if op != "DescribeKey" and STATE["key_state"] == "Disabled":
        raise aws_error("DisabledException", f"{ARN} is disabled.", 409)
    if op != "DescribeKey" and STATE["key_state"] != "Enabled":
        raise aws_error("KMSInvalidStateException", f"{ARN} is {STATE['key_state']}.", 409)

    def bound(secret, member):
        return b64(STATE["material"].encode() + b"|" + seal(secret, context_bytes(request.get(member, {}))))

    def opened(member):
        secret = unseal(strict_b64(request["CiphertextBlob"]).split(b"|", 1)[1], context_bytes(request.get(member, {})))
        if secret is None:
            raise aws_error("InvalidCiphertextException", "")
        return secret

    if op == "GenerateDataKey":
        only(request, "KeyId", "KeySpec", "EncryptionContext")
        secret = os.urandom({"AES_256": 32}[request["KeySpec"]])
        return {"CiphertextBlob": bound(secret, "EncryptionContext"), "Plaintext": b64(secret), "KeyId": ARN,
                "KeyMaterialId": STATE["material"]}
    if op == "Encrypt":
        only(request, "KeyId", "Plaintext", "EncryptionContext")
        return {"CiphertextBlob": bound(strict_b64(request["Plaintext"]), "EncryptionContext"), "KeyId": ARN,
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    if op == "Decrypt":
        only(request, "KeyId", "CiphertextBlob", "EncryptionContext")
        return {"Plaintext": b64(opened("EncryptionContext")), "KeyId": ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    if op == "ReEncrypt":
        only(request, "SourceKeyId", "DestinationKeyId", "CiphertextBlob", "SourceEncryptionContext",
             "DestinationEncryptionContext")
        return {"CiphertextBlob": bound(opened("SourceEncryptionContext"), "DestinationEncryptionContext"),
                "KeyId": ARN, "SourceKeyId": ARN, "DestinationKeyMaterialId": STATE["material"]}
    if op == "DescribeKey":
        only(request, "KeyId")
        return {"KeyMetadata": {"Arn": ARN, "KeyState": STATE["key_state"], "KeyUsage": "ENCRYPT_DECRYPT",
                                "CurrentKeyMaterialId": STATE["material"]}}
    raise aws_error("UnknownOperationException", op)


def new_access_key(token):
    STATE["logins"] += 1
    key_id = f"ASIA{STATE['logins']}"
    STATE["access_keys"][key_id] = {"secret": f"secret/{key_id}", "token": token}
    expires = now() + datetime.timedelta(seconds=STATE["lease"])
    return key_id, f"secret/{key_id}", token, expires.strftime("%Y-%m-%dT%H:%M:%SZ")


def sts(handler, body):
    def error(status, code, message):
        return Refusal(status, f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>")

    form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
    if form["Action"] == "AssumeRole":
        try:
            check_sigv4(handler, body, "sts")
        except Refusal as refusal:
            reason = json.loads(refusal.body)
            code = {"InvalidSignatureException": "SignatureDoesNotMatch", "UnrecognizedClientException": "InvalidClientTokenId",
                    "ExpiredTokenException": "ExpiredToken"}[reason["__type"]]
            raise error(403, code, reason["message"]) from None
        if form["RoleArn"].endswith("forbidden"):
            raise error(403, "AccessDenied", "not authorized")
    elif form["WebIdentityToken"] != "web-token":
        raise error(400, "InvalidIdentityToken", "no")
    key_id, secret, token, expires = new_access_key("session/token==")
    return (f"<{form['Action']}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials>"
            f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials></{form['Action']}Response>")


def metadata_credentials():
    key_id, secret, token, expires = new_access_key("metadata/token==")
    return json.dumps({"Code": "Success", "AccessKeyId": key_id, "SecretAccessKey": secret, "Token": token,
                       "Expiration": expires})


def aws_metadata(handler, path):
    if path == "/latest/api/token":
        if handler.command != "PUT" or not handler.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
            raise Refusal(400, "")
        return "imds-token"
    if path == "/container":
        if handler.headers.get("Authorization") != "container-token":
            raise Refusal(401, "")
        return metadata_credentials()
    if handler.headers.get("X-aws-ec2-metadata-token") != "imds-token":
        raise Refusal(401, "")
    if path == "/latest/meta-data/iam/security-credentials/":
        return "my-role\n"
    if path == "/latest/meta-data/iam/security-credentials/my-role":
        return metadata_credentials()
    raise Refusal(404, "")


# ---- Vault ----

def vault_error(status, *errors):
    return Refusal(status, json.dumps({"errors": errors}))


def vault_auth(token):
    return {"auth": {"client_token": token, "lease_duration": STATE["lease"], "renewable": STATE["renewals"]}}


def vault(handler, path, body):
    if STATE["sealed"]:
        raise vault_error(503, "Vault is sealed")
    if handler.headers.get("X-Vault-Request") != "true":
        raise vault_error(400, "missing X-Vault-Request")
    namespace = handler.headers.get("X-Vault-Namespace", "")
    if namespace not in ("", "team"):
        raise vault_error(404, "no handler for route")
    request = json.loads(body) if body else {}
    if path.startswith("/v1/auth/") and path.endswith("/login"):
        method = path.split("/")[3]
        good = {"approle": lambda: STATE["secret_ids"].get(request["role_id"]) == request["secret_id"],
                "kubernetes": lambda: request == {"role": "db", "jwt": "web-token"},
                "jwt": lambda: request == {"role": "db", "jwt": "web-token"},
                "cert": lambda: request == {"name": "db"} and handler.connection.getpeercert()}[method]()
        if not good:
            raise vault_error(400, "invalid role or secret ID")
        STATE["logins"] += 1
        token = f"login-token-{STATE['logins']}"
        STATE["tokens"].append(token)
        return vault_auth(token)
    if handler.headers.get("X-Vault-Token") not in STATE["tokens"]:
        raise vault_error(403, "permission denied")
    if path == "/v1/auth/token/renew-self":
        return vault_auth(handler.headers["X-Vault-Token"])
    parts = path.split("/")
    if parts[2] != "transit":
        raise vault_error(404, f"no handler for route \"{parts[2]}/\"")
    action, key = "/".join(parts[3:-1]), urllib.parse.unquote(parts[-1])
    if action in STATE["deny"]:
        raise vault_error(403, "1 error occurred:\n\t* permission denied\n\n")
    if key not in STATE["vault_keys"] or STATE["key_state"] == "PendingDeletion":
        raise vault_error(400, "encryption key not found") if action != "keys" else vault_error(404)
    if STATE["key_state"] != "Enabled" and action != "keys":
        raise vault_error(400, "refusing to use soft-deleted key")
    if action == "keys":
        return {"data": {"name": key, "type": "aes256-gcm96", "latest_version": STATE["version"], "derived": True,
                         "supports_encryption": True, "keys": {str(v): 1 for v in range(1, STATE["version"] + 1)}}}
    context = strict_b64(request["context"])

    def wrapped(secret):
        return f"vault:v{STATE['version']}:" + b64(seal(secret, context))

    def unwrapped():
        _, version, blob = request["ciphertext"].split(":")
        if int(version[1:]) > STATE["version"]:
            raise vault_error(400, "invalid ciphertext: version is too new")
        if int(version[1:]) < STATE["min_version"]:
            raise vault_error(400, "ciphertext or signature version is disallowed by policy (too old)")
        secret = unseal(strict_b64(blob), context)
        if secret is None:
            raise vault_error(400, "cipher: message authentication failed")
        return secret

    if action == "encrypt":
        return {"data": {"ciphertext": wrapped(strict_b64(request["plaintext"])), "key_version": STATE["version"]}}
    if action == "datakey/plaintext":
        secret = os.urandom(request["bits"] // 8)
        return {"data": {"ciphertext": wrapped(secret), "plaintext": b64(secret), "key_version": STATE["version"]}}
    if action == "decrypt":
        return {"data": {"plaintext": b64(unwrapped())}}
    if action == "rewrap":
        return {"data": {"ciphertext": wrapped(unwrapped()), "key_version": STATE["version"]}}
    raise vault_error(404, "unsupported path")


# ---- Azure, Google: bearer tokens ----

def oauth(handler, path, body):
    form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True)) if body else {}
    if path.startswith("/metadata/identity/"):
        if handler.headers.get("Metadata") != "true" or "resource=https%3A%2F%2Fvault.azure.net" not in path:
            raise Refusal(400, "{}")
    elif path.startswith("/computeMetadata/"):
        if handler.headers.get("Metadata-Flavor") != "Google":
            raise Refusal(403, "{}")
    elif path.endswith("/oauth2/v2.0/token"):
        proof = form.get("client_secret") or form.get("client_assertion")
        if proof not in ("client&secret", "web-token") or form["scope"] != "https://vault.azure.net/.default":
            raise Refusal(401, json.dumps({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"}))
    elif path == "/google/token":
        header, claims, signature = form["assertion"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
        if claims["iss"] != "sealer@example.com" or len(base64.urlsafe_b64decode(signature + "==")) != 256:
            raise Refusal(400, json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
        if not claims["iat"] - 300 < now().timestamp() < claims["exp"]:
            raise Refusal(400, json.dumps({"error": "invalid_grant", "error_description":
                          "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                          "Check your iat and exp values in the JWT claim."}))
    elif path == "/google/sts":
        if form["subject_token"] != "web-token":
            raise Refusal(400, json.dumps({"error": "invalid_grant", "error_description": "no"}))
    STATE["logins"] += 1
    token = f"bearer-{STATE['logins']}"
    STATE["bearer"].append(token)
    seconds = STATE["bearer_seconds"]
    return {"token_type": "Bearer", "access_token": token,
            "expires_in": str(seconds) if path.startswith("/metadata/") else seconds}


def impersonate(handler):
    if handler.headers.get("Authorization", "")[7:] not in STATE["bearer"]:
        raise Refusal(401, "{}")
    STATE["bearer"].append("impersonated")
    return {"accessToken": "impersonated", "expireTime": (now() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}


def azure(handler, path, body):
    def error(status, code, message, inner=None):
        return Refusal(status, json.dumps({"error": {"code": code, "message": message, **({"innererror": {"code": inner}} if inner else {})}}),
                       {"x-ms-request-id": "azure-1", "WWW-Authenticate": 'Bearer authorization="https://login"'})

    if handler.headers.get("Authorization", "")[7:] not in STATE["bearer"]:
        raise error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
    url = urllib.parse.urlsplit(path)
    if "api-version=7.4" not in url.query:
        raise error(400, "BadParameter", "api-version")
    parts = url.path.split("/")[2:]
    scheme = "https" if isinstance(handler.connection, ssl.SSLSocket) else "http"
    kid = f"{scheme}://{handler.headers['Host']}/keys/pii/v{STATE['version']}"
    if parts[-1] in STATE["deny"]:
        raise error(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac")
    if parts[0] != "pii" or STATE["key_state"] == "PendingDeletion":
        raise error(404, "KeyNotFound", "A key with (name/id) was not found in this key vault.")
    if handler.command == "GET":
        return {"key": {"kid": kid, "kty": "RSA"}, "attributes": {"enabled": STATE["key_state"] == "Enabled"}}
    if STATE["key_state"] != "Enabled":
        raise error(403, "Forbidden", "Operation is not allowed on a disabled key.", "KeyDisabled")
    request = json.loads(body)
    value = request["value"]
    if request["alg"] != "RSA-OAEP-256" or set("+/=") & set(value):
        raise error(400, "BadParameter", "Property has invalid value")
    data = base64.urlsafe_b64decode(value + "==")
    if parts[-1] == "wrapkey":
        blob = seal(data, kid.encode())
    else:
        kid = kid.rsplit("/", 1)[0] + "/" + parts[1]
        blob = unseal(data, kid.encode())
        if blob is None:
            raise error(400, "BadParameter", "The parameter is incorrect.")
    return {"kid": kid, "value": base64.urlsafe_b64encode(blob).decode().rstrip("=")}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def google(handler, path, body):
    def error(status, code, message):
        return Refusal(status, json.dumps({"error": {"code": status, "status": code, "message": message}}))

    if handler.headers.get("Authorization", "")[7:] not in STATE["bearer"]:
        raise error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    name, _, verb = urllib.parse.urlsplit(path).path[len("/v1/"):].partition(":")
    if name != "projects/p/locations/l/keyRings/r/cryptoKeys/pii":
        raise error(404, "NOT_FOUND", f"CryptoKey {name} not found.")
    version = f"{name}/cryptoKeyVersions/{STATE['version']}"
    state = {"Enabled": "ENABLED", "PendingDeletion": "DESTROY_SCHEDULED"}.get(STATE["key_state"], "DISABLED")
    if handler.command == "GET":
        return {"name": name, "purpose": "ENCRYPT_DECRYPT", "primary": {"name": version, "state": state}}
    if verb in STATE["deny"]:
        raise error(403, "PERMISSION_DENIED", f"Permission 'cloudkms.cryptoKeyVersions.useTo{verb}' denied")
    if STATE["key_state"] != "Enabled":
        raise error(400, "FAILED_PRECONDITION", f"{version} is not enabled, current state is: {state}.")
    request = json.loads(body)
    parts = {k: strict_b64(request[k]) for k in ("plaintext", "ciphertext", "additionalAuthenticatedData") if k in request}
    for part, data in parts.items():
        if request[part + "Crc32c"] != str(crc32c(data)):
            raise error(400, "INVALID_ARGUMENT", f"The checksum in field {part}_crc32c did not match")
    wrong = 1 if STATE["bad_crc"] else 0
    if verb not in ("encrypt", "decrypt"):
        raise error(404, "NOT_FOUND", verb)
    if verb == "encrypt":
        blob = seal(parts["plaintext"], parts["additionalAuthenticatedData"])
        return {"name": version, "ciphertext": b64(blob), "ciphertextCrc32c": str(crc32c(blob) + wrong),
                "verifiedPlaintextCrc32c": True, "verifiedAdditionalAuthenticatedDataCrc32c": True, "protectionLevel": "SOFTWARE"}
    secret = unseal(parts["ciphertext"], parts["additionalAuthenticatedData"])
    if secret is None:
        raise error(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    return {"plaintext": b64(secret), "plaintextCrc32c": str(crc32c(secret) + wrong), "usedPrimary": True}


# ---- the server ----

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written separately

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return now().strftime("%a, %d %b %Y %H:%M:%S GMT")

    def answer(self, status, text, headers):
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def control(self, body):
        command = json.loads(body)
        with LOCK:
            STATE.update(command.get("state", {}))
            if "faults" in command:
                FAULTS[:] = command["faults"]
            if command.get("clear_log"):
                LOG.clear()
        self.answer(200, json.dumps(STATE), {})

    def take_fault(self, op):
        with LOCK:
            for fault in FAULTS:
                if fault.get("match", "") in op and fault.get("times", 1) > 0:
                    fault["times"] = fault.get("times", 1) - 1
                    return fault
        return None

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle_any(self):
        path = self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/_control":
            return self.control(body)
        if path == "/_log":
            with LOCK:
                return self.answer(200, json.dumps(LOG), {})
        op = self.headers.get("X-Amz-Target", "").partition(".")[2] or path
        if "Action=" in body[:20].decode("latin1"):
            op = dict(urllib.parse.parse_qsl(body.decode()))["Action"]
        with LOCK:
            LOG.append({"op": op, "headers": dict(self.headers), "body": body.decode("latin1")})
        fault = self.take_fault(op) or {"kind": ""}
        kind = fault["kind"]
        if kind == "slow":
            time.sleep(fault["seconds"])
        if kind == "reset":
            return self.reset()
        if kind == "status":
            return self.answer(fault["status"], fault.get("body", ""), fault.get("headers", {}))
        headers = {"Metadata-Flavor": "Google"} if path.startswith("/computeMetadata/") and not STATE["bad_crc"] else {}
        headers |= {"x-amzn-RequestId": "req-1"} if self.headers.get("X-Amz-Target") else {}
        try:
            with LOCK:
                reply = self.dispatch(op, path, body)
            status, text = 200, reply if isinstance(reply, str) else json.dumps(reply)
        except Refusal as refusal:
            status, text, headers = refusal.status, refusal.body, refusal.headers
        except Exception as error:  # a request that we don't understand
            status, text = 400, json.dumps({"__type": "ValidationException", "message": repr(error), "errors": [repr(error)]})
        if kind == "replace":
            text = text.replace(fault["old"], fault["new"])
        if kind == "malformed":
            text = text[:-1]
        if kind == "oversize":
            text = text[:-1] + ',"x":"' + "x" * 100000 + '"}'
        if kind in ("truncate", "reset_mid"):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) // 2].encode())
            self.wfile.flush()
            if kind == "reset_mid":
                return self.reset()
            self.close_connection = True
            return None
        return self.answer(status, text, headers)

    def dispatch(self, op, path, body):
        if self.headers.get("X-Amz-Target"):
            return aws_kms(self, op, body)
        if op.startswith("AssumeRole"):
            return sts(self, body)
        if path.startswith("/latest/") or path == "/container":
            return aws_metadata(self, path)
        if "token" in path and ("oauth2" in path or "/google/" in path or path.startswith(("/metadata/", "/computeMetadata/"))) \
                or path == "/google/sts":
            return oauth(self, path, body)
        if path == "/google/impersonate":
            return impersonate(self)
        if path.startswith("/keys/"):
            return azure(self, path, body)
        if path.startswith("/v1/projects/"):
            return google(self, path, body)
        if path.startswith("/v1/"):
            return vault(self, path, body)
        raise Refusal(404, "")

    do_GET = do_POST = do_PUT = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert", help="PEM file with certificate and key: serve TLS")
    parser.add_argument("--client-ca", help="PEM file: ask for a client certificate")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert)
        if options.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(options.client_ca)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the test goes away


if __name__ == "__main__":
    main()
