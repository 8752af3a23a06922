// A KMIP server for the tests, made of ovh/kmip-go: its messages are read and written
// by an implementation of the protocol that isn't PyKMIP's.
//
//	kmip-go CERTIFICATE KEY CLIENTS_CA
//
// Prints a line of JSON, {"port": N}, and ends with stdin.  Its keys: "1" and "2" of the
// name pii, of which "2" is active and "1" deactivated, and "3" of the name other.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipserver"
	"github.com/ovh/kmip-go/payloads"
)

type key struct {
	id, name string
	state    kmip.State
	aead     cipher.AEAD
}

var keys []*key

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func newKey(id, name string, state kmip.State) *key {
	secret := make([]byte, 32)
	must(rand.Read(secret))
	return &key{id, name, state, must(cipher.NewGCM(must(aes.NewCipher(secret))))}
}

// find also says whether these are parameters and a nonce that it takes.
func find(id string, parameters *kmip.CryptographicParameters, nonce []byte) (*key, error) {
	for _, k := range keys {
		if k.id != id {
			continue
		}
		if parameters == nil || parameters.BlockCipherMode != kmip.BlockCipherModeGCM || len(nonce) != k.aead.NonceSize() {
			return nil, kmipserver.ErrInvalidField
		}
		return k, nil
	}
	return nil, kmipserver.ErrItemNotFound
}

func encrypt(_ context.Context, request *payloads.EncryptRequestPayload) (*payloads.EncryptResponsePayload, error) {
	nonce := request.IVCounterNonce
	if p := request.CryptographicParameters; p != nil && p.RandomIV != nil && *p.RandomIV && len(nonce) == 0 {
		nonce = make([]byte, 12)
		must(rand.Read(nonce))
	}
	k, err := find(request.UniqueIdentifier, request.CryptographicParameters, nonce)
	if err != nil {
		return nil, err
	}
	if k.state != kmip.StateActive {
		return nil, kmipserver.Errorf(kmip.ResultReasonPermissionDenied, "the key is not active")
	}
	sealed := k.aead.Seal(nil, nonce, request.Data, request.AuthenticatedEncryptionAdditionalData)
	end := len(request.Data)
	return &payloads.EncryptResponsePayload{UniqueIdentifier: k.id, Data: sealed[:end],
		IVCounterNonce: nonce, AuthenticatedEncryptionTag: sealed[end:]}, nil
}

func decrypt(_ context.Context, request *payloads.DecryptRequestPayload) (*payloads.DecryptResponsePayload, error) {
	k, err := find(request.UniqueIdentifier, request.CryptographicParameters, request.IVCounterNonce)
	if err != nil {
		return nil, err
	}
	sealed := append(append([]byte{}, request.Data...), request.AuthenticatedEncryptionTag...)
	data, err := k.aead.Open(nil, request.IVCounterNonce, sealed, request.AuthenticatedEncryptionAdditionalData)
	if err != nil {
		return nil, kmipserver.Errorf(kmip.ResultReasonCryptographicFailure, "not authentic")
	}
	return &payloads.DecryptResponsePayload{UniqueIdentifier: k.id, Data: data}, nil
}

func attributes(_ context.Context, request *payloads.GetAttributesRequestPayload) (*payloads.GetAttributesResponsePayload, error) {
	for _, k := range keys {
		if k.id == request.UniqueIdentifier {
			return &payloads.GetAttributesResponsePayload{UniqueIdentifier: k.id,
				Attribute: []kmip.Attribute{{AttributeName: kmip.AttributeNameState, AttributeValue: k.state}}}, nil
		}
	}
	return nil, kmipserver.ErrItemNotFound
}

func locate(_ context.Context, request *payloads.LocateRequestPayload) (*payloads.LocateResponsePayload, error) {
	response := &payloads.LocateResponsePayload{}
	for _, k := range keys {
		matches := true
		for _, attribute := range request.Attribute {
			switch value := attribute.AttributeValue.(type) {
			case kmip.Name:
				matches = matches && value.NameValue == k.name
			case kmip.State:
				matches = matches && value == k.state
			}
		}
		if matches {
			response.UniqueIdentifier = append(response.UniqueIdentifier, k.id)
		}
	}
	return response, nil
}

func main() {
	keys = []*key{newKey("1", "pii", kmip.StateDeactivated), newKey("2", "pii", kmip.StateActive), newKey("3", "other", kmip.StateActive)}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(must(os.ReadFile(os.Args[3]))) {
		os.Exit(1)
	}
	listener := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{must(tls.LoadX509KeyPair(os.Args[1], os.Args[2]))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients}))
	executor := kmipserver.NewBatchExecutor()
	executor.Route(kmip.OperationEncrypt, kmipserver.HandleFunc(encrypt))
	executor.Route(kmip.OperationDecrypt, kmipserver.HandleFunc(decrypt))
	executor.Route(kmip.OperationGetAttributes, kmipserver.HandleFunc(attributes))
	executor.Route(kmip.OperationLocate, kmipserver.HandleFunc(locate))
	go kmipserver.NewServer(listener, executor).Serve()
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}
