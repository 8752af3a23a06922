"""Runs PyKMIP's server on TLS in DIRECTORY, with a CA of its own: run_kmip.py DIRECTORY

Prints a line of JSON: what the test needs.  Then answers lines of JSON on
stdin, as an administrator by PyKMIP's own client: {"do": "create", "name": "pii"}
gives {"id": ...}; "activate", "deactivate", "destroy" take an "id"; "encrypt" and
"decrypt" take bytes in hexadecimal digits and "version", such as "1.4".
Ends with stdin.
"""

import json
import logging
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import time

from kmip.core import enums
from kmip.core.messages import payloads
from kmip.core.attributes import CryptographicParameters
from kmip.pie.client import ProxyKmipClient


def wrap_socket(sock, keyfile, certfile, cert_reqs, ssl_version, ca_certs, server_side=False, ciphers=None, **more):
    """What PyKMIP calls, and Python has no more since 3.12"""
    context = ssl.SSLContext(ssl_version)
    context.check_hostname = False
    context.verify_mode = cert_reqs
    context.load_cert_chain(certfile, keyfile)
    context.load_verify_locations(ca_certs)
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(sock, server_side=server_side, **more)


if not hasattr(ssl, "wrap_socket"):
    ssl.wrap_socket = wrap_socket

AES_GCM = dict(block_cipher_mode=enums.BlockCipherMode.GCM, cryptographic_algorithm=enums.CryptographicAlgorithm.AES)


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates(directory):
    """ca.pem; server.pem for 127.0.0.1 and pgseal.pem, other.pem for clients; their .key"""
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=kmip test CA", "-days", "2")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth"),
                            ("pgseal", "extendedKeyUsage=clientAuth"), ("other", "extendedKeyUsage=clientAuth")):
        openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
                "-subj", "/CN=" + name)
        with open(os.path.join(directory, name + ".ext"), "w") as file:
            file.write(extension + "\n")
        openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", name + ".ext", "-out", name + ".pem", "-days", "2")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(directory, port):
    settings = dict(hostname="127.0.0.1", port=port, certificate_path="server.pem", key_path="server.key", ca_path="ca.pem",
                    auth_suite="TLS1.2", policy_path="policy", enable_tls_client_auth="True", logging_level="CRITICAL",
                    database_path="kmip.db")
    for name in ("certificate_path", "key_path", "ca_path", "policy_path", "database_path"):
        settings[name] = os.path.join(directory, settings[name])
    os.makedirs(settings["policy_path"], exist_ok=True)
    with open(os.path.join(directory, "server.conf"), "w") as file:
        file.write("[server]\n" + "".join("%s=%s\n" % item for item in settings.items()))
    log = open(os.path.join(directory, "server.out"), "ab")
    process = subprocess.Popen([sys.executable, "-W", "ignore", __file__, "server", "-f", os.path.join(directory, "server.conf"),
                                "-l", os.path.join(directory, "server.log")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start: " + open(log.name).read()[-500:])


def parameters(tag_length):
    return CryptographicParameters(tag_length=tag_length, **AES_GCM)


def answer(client, request):
    do, uid = request["do"], request.get("id")
    if do == "create":
        return {"id": client.create(enums.CryptographicAlgorithm.AES, 256, name=request["name"])}
    if do == "deactivate":
        client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)
    elif do in ("activate", "destroy"):
        getattr(client, do)(uid)
    elif do == "encrypt":
        reply = client.proxy.send_request_payload(enums.Operation.ENCRYPT, payloads.EncryptRequestPayload(
            uid, parameters(16), bytes.fromhex(request["data"]), bytes.fromhex(request["nonce"]), request["context"].encode()))
        return {"data": reply.data.hex(), "tag": reply.auth_tag.hex()}
    elif do == "decrypt":
        reply = client.proxy.send_request_payload(enums.Operation.DECRYPT, payloads.DecryptRequestPayload(
            uid, parameters(None), bytes.fromhex(request["data"]), bytes.fromhex(request["nonce"]),
            request["context"].encode(), bytes.fromhex(request["tag"])))
        return {"data": reply.data.hex()}
    return {}


def serve():
    """The process of the server itself, with PyKMIP's options"""
    from kmip.services.server import server
    # None for a session that is resumed; it counts them for its log
    shared_ciphers = ssl.SSLSocket.shared_ciphers
    ssl.SSLSocket.shared_ciphers = lambda connection: shared_ciphers(connection) or []
    # It relies on forked processes, which Python makes no more by itself since 3.14
    multiprocessing.set_start_method("fork")
    del sys.argv[1]
    server.main()


def main():
    if sys.argv[1] == "server":
        return serve()
    logging.disable(logging.CRITICAL)
    directory = sys.argv[1]
    certificates(directory)
    port = free_port()
    server = start_server(directory, port)
    print(json.dumps({"port": port}), flush=True)
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if request["do"] == "stop":
                    server.terminate()
                    server.wait()
                    reply = {}
                elif request["do"] == "start":
                    server = start_server(directory, port)
                    reply = {}
                else:
                    with ProxyKmipClient(hostname="127.0.0.1", port=port, cert=directory + "/pgseal.pem", key=directory + "/pgseal.key",
                                         ca=directory + "/ca.pem", config_file="/dev/null",
                                         kmip_version=enums.KMIPVersion.KMIP_1_4) as client:
                        reply = answer(client, request)
            except Exception as error:
                reply = {"error": repr(error)}
            print(json.dumps(reply), flush=True)
    finally:
        server.terminate()


main()
