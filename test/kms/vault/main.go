// A Vault server for the tests: Vault's own core with the transit engine and
// the AppRole login, in memory, unsealed. Prints the port and the root token.
package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	testing "github.com/mitchellh/go-testing-interface"
)

func main() {
	core, _, token := vault.TestCoreUnsealedWithConfig(&testing.RuntimeT{}, &vault.CoreConfig{
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{},
	})
	go http.Serve(listener, handler)
	json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url":   "http://" + listener.Addr().String(),
		"token": token,
	})
	io.Copy(io.Discard, os.Stdin) // until the test goes away
}
