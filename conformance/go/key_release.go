package main

// A key that leaves the vault, wrapped for an environment that an attestation service vouches for.

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"os"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func init() {
	register(map[string]scenario{
		"key-release":            keyRelease,
		"key-release-is-refused": keyReleaseIsRefused,
	})
}

const nonce = "asked now"

func exportable() wanted {
	rules := map[string]any{"version": "1.0.0", "anyOf": []any{map[string]any{
		"authority": world.AttestationAuthority,
		"allOf":     []any{map[string]any{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}},
	}}}
	like := p256
	like.KeyAttributes = &azkeys.KeyAttributes{Exportable: ptr(true)}
	like.ReleasePolicy = &azkeys.KeyReleasePolicy{EncodedPolicy: must(json.Marshal(rules))}
	return like
}

func base64url(text string) []byte {
	return must(base64.RawURLEncoding.DecodeString(text))
}

// unwrapPadded takes off AES key wrap with padding (RFC 5649), which Go's library does not have.
func unwrapPadded(key, wrapped []byte) []byte {
	block := must(aes.NewCipher(key))
	buffer, blocks := make([]byte, 16), len(wrapped)/8-1
	head, rest := slices.Clone(wrapped[:8]), slices.Clone(wrapped[8:])
	for round := 5; round >= 0; round-- {
		for at := blocks; at > 0; at-- {
			step := binary.BigEndian.Uint64(head) ^ uint64(blocks*round+at)
			binary.BigEndian.PutUint64(buffer, step)
			copy(buffer[8:], rest[8*(at-1):8*at])
			block.Decrypt(buffer, buffer)
			copy(head, buffer[:8])
			copy(rest[8*(at-1):], buffer[8:])
		}
	}
	if !bytes.Equal(head[:4], []byte{0xa6, 0x59, 0x59, 0xa6}) {
		panic(failure{"what was released is not wrapped for the environment"})
	}
	return rest[:binary.BigEndian.Uint32(head[4:])]
}

// unwrapped is what the environment does: OAEP with its own key, and under that AES key wrap.
func unwrapped(released string) *ecdsa.PrivateKey {
	file, _ := pem.Decode(must(os.ReadFile(world.EnvironmentPEM)))
	environment := must(x509.ParsePKCS8PrivateKey(file.Bytes)).(*rsa.PrivateKey)
	var blob struct{ Ciphertext string }
	must(0, json.Unmarshal(base64url(released), &blob))
	ciphertext := base64url(blob.Ciphertext)
	key := must(rsa.DecryptOAEP(sha1.New(), nil, environment, ciphertext[:environment.Size()], nil))
	return must(x509.ParsePKCS8PrivateKey(unwrapPadded(key, ciphertext[environment.Size():]))).(*ecdsa.PrivateKey)
}

func keyRelease(t *T) {
	client, name := t.keyClient(vaultA), fresh("released")
	made := t.create(client, name, exportable())
	t.check(*made.Attributes.Exportable, "it does not say that it is exportable")
	parameters := azkeys.ReleaseParameters{TargetAttestationToken: &world.AttestationToken, Nonce: ptr(nonce)}
	answer := must(client.Release(t, name, made.Key.KID.Version(), parameters, nil))
	var payload struct {
		Request  struct{ Kid, Nonce string }
		Response struct {
			Key struct {
				Key struct {
					KeyHSM string `json:"key_hsm"`
				}
			}
		}
	}
	must(0, json.Unmarshal(base64url(strings.Split(*answer.Value, ".")[1]), &payload))
	t.equal([]string{payload.Request.Kid, payload.Request.Nonce}, []string{string(*made.Key.KID), nonce})
	public := must(unwrapped(payload.Response.Key.Key.KeyHSM).PublicKey.Bytes())
	t.equal(public[1:], append(slices.Clone(made.Key.X), made.Key.Y...))
}

func keyReleaseIsRefused(t *T) {
	client, name := t.keyClient(vaultA), fresh("kept")
	t.create(client, name, exportable())
	release := func(name, token string) error {
		_, err := client.Release(t, name, "", azkeys.ReleaseParameters{TargetAttestationToken: &token}, nil)
		return err
	}
	// It is well signed, and says of the environment something else than the policy asks for.
	t.refused(release(name, world.AttestationTokenOfAnother), 403, "Forbidden", "KeyReleaseForbidden")
	forged := world.AttestationToken[:len(world.AttestationToken)-8] + "AAAAAAAA"
	t.refused(release(name, forged), 403, "Forbidden", "KeyReleaseForbidden")
	stays := fresh("stays")
	t.create(client, stays, p256)
	t.refused(release(stays, world.AttestationToken), 403, "Forbidden")
	// A key leaves by a policy or not at all.
	open := p256
	open.KeyAttributes = &azkeys.KeyAttributes{Exportable: ptr(true)}
	_, err := client.CreateKey(t, fresh("open"), open, nil)
	t.refused(err, 400, "BadParameter")
}
