"""Runs an OpenBao server for the tests: run_openbao.py dev|tls DIRECTORY

dev is "bao server -dev".  tls is a server as one would run it: storage on disk
(raft), a listener with a certificate of its own CA which asks for client
certificates, an audit log; initialized and unsealed.  DIRECTORY gets its
files.  The listener's port is free at the time.

Prints a line of JSON: what the test needs.  Then answers lines of JSON on
stdin with the server's answer: {"method": "POST", "path": "sys/seal", "body":
{...}, "token": ..., "namespace": ...} with {"status":, "body":}; the token is
root's by default.  Ends, and the server with it, with stdin.

It plays the Kubernetes API too, as far as OpenBao's kubernetes login asks it
(TokenReview), at the address "kubernetes": a token is good if its last letter
is not a dot.
"""

import base64
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

START_SECONDS = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(directory):
    """ca.pem; server.pem for 127.0.0.1 and client.pem (CN pgseal), signed by it; their .key

    With all that RFC 5280 asks for: Python insists on it since 3.13.
    """
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=test CA", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, subject, extension in (("server", "/CN=bao", "subjectAltName=IP:127.0.0.1"),
                                     ("client", "/CN=pgseal", "extendedKeyUsage=clientAuth")):
        openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", subject)
        with open(os.path.join(directory, name + ".ext"), "w") as f:
            f.write(extension + "\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", name + ".ext", "-out", name + ".pem", "-days", "2")


class Kubernetes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = review["spec"]["token"]
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        account = claims["kubernetes.io"]["serviceaccount"]
        review["status"] = {"authenticated": not token.endswith("."), "user": {
            "username": "system:serviceaccount:%s:%s" % (claims["kubernetes.io"]["namespace"], account["name"]),
            "uid": account["uid"], "groups": ["system:serviceaccounts"]}}
        reply = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *arguments):
        pass


class Server:
    def __init__(self, mode, directory):
        self.port = free_port()
        self.root_token = "root"
        self.unseal_key = None
        self.context = None
        scheme = "http"
        if mode == "dev":
            arguments = ["-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:%d" % self.port]
        else:
            scheme = "https"
            make_certificates(directory)
            self.context = ssl.create_default_context(cafile=os.path.join(directory, "ca.pem"))
            config = os.path.join(directory, "bao.hcl")
            os.makedirs(os.path.join(directory, "raft"), exist_ok=True)
            with open(config, "w") as f:
                f.write("""
                    storage "raft" { path = "%(d)s/raft" node_id = "one" performance_multiplier = 1 }
                    listener "tcp" { address = "127.0.0.1:%(p)d" tls_cert_file = "%(d)s/server.pem" tls_key_file = "%(d)s/server.key" }
                    audit "file" "log" { options { file_path = "%(d)s/audit.log" mode = "0600" } }
                    api_addr = "https://127.0.0.1:%(p)d"
                    cluster_addr = "https://127.0.0.1:%(c)d"
                    """.replace('" ', '"\n') % {"d": directory, "p": self.port, "c": free_port()})
            arguments = ["-config=" + config]
        self.url = "%s://127.0.0.1:%d" % (scheme, self.port)
        self.log = open(os.path.join(directory, "bao.log"), "w")
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(["bao", "server", *arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, env=environment)
        self.wait_for(lambda: self.request("GET", "sys/seal-status")["status"] == 200)
        if mode != "dev":
            keys = self.request("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})["body"]
            self.root_token, self.unseal_key = keys["root_token"], keys["keys_base64"][0]
            self.request("POST", "sys/unseal", {"key": self.unseal_key})
        self.wait_for(lambda: self.request("GET", "sys/health")["status"] == 200)

    def wait_for(self, condition):
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError("bao did not start: " + open(self.log.name).read()[-2000:])
            time.sleep(0.02)

    def request(self, method, path, body=None, token=None, namespace=None):
        request = urllib.request.Request("%s/v1/%s" % (self.url, path), method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("X-Vault-Token", token or self.root_token)
        if namespace:
            request.add_header("X-Vault-Namespace", namespace)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=START_SECONDS) as reply:
                status, text = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return {"status": status, "body": json.loads(text) if text else None}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def main():
    mode, directory = sys.argv[1:]
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = Server(mode, directory)
    except RuntimeError:
        # someone else may have taken its port meanwhile
        server = Server(mode, directory)
    try:
        kubernetes = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
        threading.Thread(target=kubernetes.serve_forever, daemon=True).start()
        print(json.dumps({"url": server.url, "root_token": server.root_token, "unseal_key": server.unseal_key,
                          "bin": os.path.dirname(shutil.which("bao")),
                          "kubernetes": "http://127.0.0.1:%d" % kubernetes.server_port}), flush=True)
        for line in sys.stdin:
            print(json.dumps(server.request(**json.loads(line))), flush=True)
    finally:
        server.stop()


main()
