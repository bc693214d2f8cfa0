package main

// How a program proves who it is, with the credentials of azidentity as they are.

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const vaultScope = "https://vault.azure.net/.default"

func init() {
	register(map[string]scenario{
		"managed-identity-app-service": func(t *T) {
			t.check(isSet("IDENTITY_ENDPOINT"), "the App Service variables are not set")
			t.readsTheSeededSecret(t.secretClient(vaultA))
		},
		"managed-identity-proxy-only": func(t *T) {
			t.check(!isSet("IDENTITY_ENDPOINT") && !isSet("IDENTITY_HEADER"), "the App Service variables are set")
			t.readsTheSeededSecret(t.secretClientAt(publicVaultURL(vaultA), t.managedIdentity()))
		},
		"managed-identity-by-client-id": func(t *T) {
			reader := world.Identities["reader"]
			for _, id := range []azidentity.ManagedIDKind{
				azidentity.ClientID(reader.ClientID),
				azidentity.ObjectID(reader.PrincipalID),
				azidentity.ResourceID(reader.ResourceID),
			} {
				t.readsTheSeededSecret(t.secretClientAt(vaultURL(vaultA), userAssigned(id)))
			}
		},
		"managed-identity-of-another-is-refused": func(t *T) {
			t.getsNoToken(userAssigned(azidentity.ClientID(world.Identities["officer"].ClientID)))
		},
		"unattested-process-gets-no-token": func(t *T) {
			t.check(isSet("IDENTITY_ENDPOINT"), "the App Service variables are not set")
			t.getsNoToken(t.managedIdentity())
		},
		"refusal-says-what-was-seen-app-service": func(t *T) {
			said := t.getsNoToken(t.managedIdentity()).Error()
			t.check(strings.Contains(said, "uid "), "%s", said)
		},
		"default-azure-credential": func(t *T) {
			credential := must(azidentity.NewDefaultAzureCredential(nil))
			t.readsTheSeededSecret(t.secretClientAt(publicVaultURL(vaultA), credential))
		},
		"token-for-another-audience": tokenForAnotherAudience,
		"certificate-credential": func(t *T) {
			t.check(!isSet("AZURE_AUTHORITY_HOST"), "AZURE_AUTHORITY_HOST is set")
			t.readsTheSeededSecret(t.secretClientAt(publicVaultURL(vaultA), t.certificate(world.CertificatePEM)))
		},
		"certificate-credential-reuses-its-assertion": func(t *T) {
			credential, tokens := t.certificate(world.CertificatePEM), map[string]bool{}
			for _, resource := range []string{"vault.azure.net", "management.azure.com", "graph.microsoft.com"} {
				scope := policy.TokenRequestOptions{Scopes: []string{"https://" + resource + "/.default"}}
				tokens[must(credential.GetToken(t, scope)).Token] = true
			}
			t.equal(len(tokens), 3)
		},
		"unregistered-certificate-is-refused": func(t *T) {
			said := t.getsNoToken(t.certificate(world.UnregisteredCertificatePEM)).Error()
			t.check(strings.Contains(said, "AADSTS700027"), "%s", said)
		},
	})
}

func tokenForAnotherAudience(t *T) {
	credential := t.managedIdentity()
	for _, audience := range []string{"https://vault.azure.net", "https://management.azure.com"} {
		token := must(credential.GetToken(t, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}}))
		var claims map[string]any
		body := must(base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1]))
		must(0, json.Unmarshal(body, &claims))
		t.equal(strings.TrimSuffix(claims["aud"].(string), "/"), audience)
		t.equal(claims["tid"], world.Tenant)
		t.equal(claims["oid"], world.Identities["reader"].PrincipalID)
	}
}

func isSet(name string) bool {
	_, set := os.LookupEnv(name)
	return set
}

func userAssigned(id azidentity.ManagedIDKind) azcore.TokenCredential {
	return must(azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: id}))
}

func (t *T) certificate(path string) azcore.TokenCredential {
	certificates, key, err := azidentity.ParseCertificates(must(os.ReadFile(path)), nil)
	must(0, err)
	return must(azidentity.NewClientCertificateCredential(world.Tenant, world.ApplicationClientID, certificates, key, nil))
}

func (t *T) getsNoToken(credential azcore.TokenCredential) error {
	_, err := credential.GetToken(t, policy.TokenRequestOptions{Scopes: []string{vaultScope}})
	t.check(err != nil, "a token that nobody vouches for")
	return err
}
