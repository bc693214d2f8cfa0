package main

// What happens to those who may use keys and not change them, or not even that.

import (
	"crypto/elliptic"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

const keyAction = "Microsoft.KeyVault/vaults/keys/"

func init() {
	register(map[string]scenario{
		"key-user-cannot-change-keys": keyUserCannotChangeKeys,
		"key-without-a-role":          keyWithoutARole,
	})
}

func keyUserCannotChangeKeys(t *T) {
	client, name := t.keyClient(vaultA), world.SeededKey
	seeded := t.key(client, name, "").Key
	t.verifiedElsewhere(seeded, "ES256", t.signs(seeded, "ES256"))
	refused := func(err error, action string) { t.refused(err, 403, "ForbiddenByRbac", action) }
	_, err := client.CreateKey(t, fresh("refused"), p256, nil)
	refused(err, keyAction+"create/action")
	_, err = client.ImportKey(t, fresh("refused"), azkeys.ImportKeyParameters{Key: must(ecParts(elliptic.P256()))}, nil)
	refused(err, keyAction+"import/action")
	_, err = client.DeleteKey(t, name, nil)
	refused(err, keyAction+"delete")
	_, err = client.PurgeDeletedKey(t, name, nil)
	refused(err, keyAction+"purge/action")
	_, err = client.RecoverDeletedKey(t, name, nil)
	refused(err, keyAction+"recover/action")
	_, err = client.RotateKey(t, name, nil)
	refused(err, keyAction+"rotate/action")
	policy := azkeys.KeyRotationPolicy{Attributes: &azkeys.KeyRotationPolicyAttributes{ExpiryTime: ptr("P90D")}}
	_, err = client.UpdateKeyRotationPolicy(t, name, policy, nil)
	refused(err, "Microsoft.KeyVault/vaults/keyrotationpolicies/write")
}

func keyWithoutARole(t *T) {
	client, stranger := t.keyClient(vaultA), world.Identities["stranger"]
	for _, name := range []string{world.SeededKey, fresh("absent")} {
		_, err := client.GetKey(t, name, "", nil)
		t.refused(err, 403, "Forbidden", "ForbiddenByRbac", keyAction+"read", stranger.ClientID, stranger.PrincipalID)
	}
	_, err := client.Sign(t, world.SeededKey, noVersion, signing("ES256"), nil)
	t.refused(err, 403, "ForbiddenByRbac", keyAction+"sign/action")
}
