package main

// What the scenarios share: the world they run in, clients for it, and how a refusal is looked at.

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

type identity struct {
	ClientID    string `json:"client_id"`
	PrincipalID string `json:"principal_id"`
	ResourceID  string `json:"resource_id"`
}

var world = readWorld()

type worldFile struct {
	Tenant                     string              `json:"tenant"`
	Authority                  string              `json:"authority"`
	VaultSuffix                string              `json:"vault_suffix"`
	Vaults                     []string            `json:"vaults"`
	PremiumVault               string              `json:"premium_vault"`
	TransferBlob               string              `json:"transfer_blob"`
	TransferPublicPEM          string              `json:"transfer_public_pem"`
	AttestationAuthority       string              `json:"attestation_authority"`
	AttestationToken           string              `json:"attestation_token"`
	AttestationTokenOfAnother  string              `json:"attestation_token_of_another"`
	EnvironmentPEM             string              `json:"environment_pem"`
	SeededName                 string              `json:"seeded_name"`
	SeededValue                string              `json:"seeded_value"`
	SeededKey                  string              `json:"seeded_key"`
	Identities                 map[string]identity `json:"identities"`
	ApplicationClientID        string              `json:"application_client_id"`
	CertificatePEM             string              `json:"certificate_pem"`
	UnregisteredCertificatePEM string              `json:"unregistered_certificate_pem"`
}

// The vaults of the world, by their place in its list.
const (
	vaultA = iota
	vaultB
	// premium is a vault whose keys may be in a token.
	premium
)

func readWorld() (read worldFile) {
	bytes, err := os.ReadFile(os.Getenv("CONFORMANCE_WORLD"))
	if err == nil {
		err = json.Unmarshal(bytes, &read)
	}
	read.Vaults = append(read.Vaults, read.PremiumVault)
	if err != nil {
		fmt.Fprintln(os.Stderr, "CONFORMANCE_WORLD names no world:", err)
		os.Exit(2)
	}
	return read
}

// vaultURL is the address of a vault by our own suffix.
func vaultURL(vault int) string {
	return "https://" + world.Vaults[vault] + "." + world.VaultSuffix
}

// publicVaultURL is the address that the proxy answers for.
func publicVaultURL(vault int) string {
	return "https://" + world.Vaults[vault] + ".vault.azure.net"
}

func (t *T) managedIdentity() azcore.TokenCredential {
	return must(azidentity.NewManagedIdentityCredential(nil))
}

// secretClient is a client as an application would write it, with every check that it makes by itself.
func (t *T) secretClient(vault int) *azsecrets.Client {
	return t.secretClientAt(vaultURL(vault), t.managedIdentity())
}

func (t *T) secretClientAt(url string, credential azcore.TokenCredential) *azsecrets.Client {
	return must(azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: recorded}))
}

// keyClient is the same for keys.
func (t *T) keyClient(vault int) *azkeys.Client {
	return must(azkeys.NewClient(vaultURL(vault), t.managedIdentity(), &azkeys.ClientOptions{ClientOptions: recorded}))
}

// readsTheSeededSecret reads what the runner wrote, and checks it.
func (t *T) readsTheSeededSecret(client *azsecrets.Client) {
	t.equal(*must(client.GetSecret(t, world.SeededName, "", nil)).Value, world.SeededValue)
}

// fresh is a name that no other scenario uses.
func fresh(prefix string) string {
	bytes := make([]byte, 6)
	must(rand.Read(bytes))
	return prefix + "-" + hex.EncodeToString(bytes)
}

// daysFromNow is a point in time, in whole seconds as a vault keeps it.
func daysFromNow(days int) time.Time {
	return time.Now().UTC().Truncate(time.Second).AddDate(0, 0, days)
}

// must ends the scenario when something fails that should not.
func must[V any](value V, err error) V {
	if err != nil {
		panic(failure{err.Error()})
	}
	return value
}

func (t *T) equal(found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		t.fail("found %#v, expected %#v", found, expected)
	}
}

func (t *T) check(holds bool, said string, arguments ...any) {
	if !holds {
		t.fail(said, arguments...)
	}
}

// refused expects an error with this status and a body that says each of parts.
func (t *T) refused(err error, status int, parts ...string) {
	if err == nil {
		t.fail("expected a refusal with %d, and it was allowed", status)
	}
	var answered *azcore.ResponseError
	if !errors.As(err, &answered) {
		t.fail("not an answer: %v", err)
	}
	said := err.Error()
	if answered.RawResponse != nil {
		if body, failed := io.ReadAll(answered.RawResponse.Body); failed == nil {
			said += string(body)
		}
	}
	t.check(answered.StatusCode == status, "answered %d, expected %d: %s", answered.StatusCode, status, said)
	for _, part := range parts {
		t.check(strings.Contains(said, part), "`%s` is not in the refusal: %s", part, said)
	}
}

// pages collects what a listing yields, page by page.
func pages[P any](t *T, pager *runtime.Pager[P]) []P {
	var all []P
	for pager.More() {
		all = append(all, must(pager.NextPage(t)))
	}
	return all
}

func ptr[V any](value V) *V {
	return &value
}
