package main

// What happens to those who may not, and what they are told.

import (
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

const secretAction = "Microsoft.KeyVault/vaults/secrets/"

func init() {
	register(map[string]scenario{
		"no-role-names-the-data-action":           noRoleNamesTheDataAction,
		"reader-cannot-write":                     readerCannotWrite,
		"role-on-one-vault-is-no-role-on-another": roleOnOneVaultIsNoRoleOnAnother,
		"unknown-vault":                           unknownVault,
	})
}

func noRoleNamesTheDataAction(t *T) {
	stranger, client := world.Identities["stranger"], t.secretClient(vaultA)
	// A name that is not there says no more than one that is.
	for _, name := range []string{world.SeededName, fresh("absent")} {
		_, err := client.GetSecret(t, name, "", nil)
		action := secretAction + "getSecret/action"
		t.refused(err, 403, "Forbidden", "ForbiddenByRbac", action, stranger.ClientID, stranger.PrincipalID, world.Vaults[vaultA])
	}
}

func readerCannotWrite(t *T) {
	client, name := t.secretClient(vaultA), world.SeededName
	t.readsTheSeededSecret(client)
	_, err := client.SetSecret(t, name, azsecrets.SetSecretParameters{Value: ptr("other")}, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"setSecret/action")
	_, err = client.DeleteSecret(t, name, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"delete")
	_, err = client.BackupSecret(t, name, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"backup/action")
	off := azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(false)}}
	_, err = client.UpdateSecretProperties(t, name, "", off, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"update/action")
	_, err = client.PurgeDeletedSecret(t, name, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"purge/action")
	_, err = client.RecoverDeletedSecret(t, name, nil)
	t.refused(err, 403, "ForbiddenByRbac", secretAction+"recover/action")
	t.readsTheSeededSecret(client)
}

func roleOnOneVaultIsNoRoleOnAnother(t *T) {
	t.readsTheSeededSecret(t.secretClient(vaultA))
	_, err := t.secretClient(vaultB).GetSecret(t, world.SeededName, "", nil)
	t.refused(err, 403, "ForbiddenByRbac", world.Vaults[vaultB])
	_, err = t.secretClient(vaultB).NewListSecretPropertiesPager(nil).NextPage(t)
	t.refused(err, 403, "ForbiddenByRbac", world.Vaults[vaultB])
}

func unknownVault(t *T) {
	options := azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	client := must(azsecrets.NewClient("https://no-such-vault."+world.VaultSuffix, t.managedIdentity(), &options))
	_, err := client.GetSecret(t, world.SeededName, "", nil)
	t.check(err != nil, "a vault that does not exist answered")
	// Real Azure has no such name in DNS; a refusal by the proxy reads the same to the client.
	var answered *azcore.ResponseError
	if errors.As(err, &answered) {
		t.check(answered.StatusCode >= 400 && answered.StatusCode < 500, "%v", err)
	}
}
