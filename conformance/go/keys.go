package main

// The life of keys, through azkeys as it is.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func init() {
	register(map[string]scenario{
		"key-create-rsa":                               keyCreateRSA,
		"key-create-with-nothing-said":                 keyCreateWithNothingSaid,
		"key-update-keeps-operations":                  keyUpdateKeepsOperations,
		"key-create-ec":                                keyCreateEC,
		"key-create-symmetric":                         keyCreateSymmetric,
		"key-create-of-a-wrong-size-is-refused":        keyCreateOfAWrongSizeIsRefused,
		"key-of-an-hsm-in-a-standard-vault-is-refused": keyOfAnHSMInAStandardVaultIsRefused,
		"key-attributes":                               keyAttributes,
		"key-import":                                   keyImport,
		"key-import-of-a-broken-key-is-refused":        keyImportOfABrokenKeyIsRefused,
		"key-versions":                                 keyVersions,
		"key-update":                                   keyUpdate,
		"key-list-over-pages":                          keyListOverPages,
		"key-not-found":                                keyNotFound,
		"key-delete-and-recover":                       keyDeleteAndRecover,
		"key-purge":                                    keyPurge,
		"key-name-of-a-deleted-one-is-taken":           keyNameOfADeletedOneIsTaken,
		"key-backup-and-restore":                       keyBackupAndRestore,
		"key-damaged-backup-is-refused":                keyDamagedBackupIsRefused,
		"key-rotate":                                   keyRotate,
		"key-rotation-policy":                          keyRotationPolicy,
		"key-random-bytes":                             keyRandomBytes,
	})
}

// wanted is what a key is created as.
type wanted = azkeys.CreateKeyParameters

func ofRSA(size int32) wanted {
	return wanted{Kty: ptr(azkeys.KeyTypeRSA), KeySize: &size}
}

func ofEC(curve azkeys.CurveName) wanted {
	return wanted{Kty: ptr(azkeys.KeyTypeEC), Curve: &curve}
}

func ofOct(size int32, operations ...azkeys.KeyOperation) wanted {
	return wanted{Kty: ptr(azkeys.KeyTypeOct), KeySize: &size, KeyOps: operationsOf(operations...)}
}

var p256 = ofEC(azkeys.CurveNameP256)

func operationsOf(operations ...azkeys.KeyOperation) []*azkeys.KeyOperation {
	var pointers []*azkeys.KeyOperation
	for _, operation := range operations {
		pointers = append(pointers, &operation)
	}
	return pointers
}

func (t *T) create(client *azkeys.Client, name string, wanted wanted) azkeys.KeyBundle {
	return must(client.CreateKey(t, name, wanted, nil)).KeyBundle
}

func (t *T) key(client *azkeys.Client, name, version string) azkeys.KeyBundle {
	return must(client.GetKey(t, name, version, nil)).KeyBundle
}

func (t *T) keyGone(client *azkeys.Client, name, version string) {
	_, err := client.GetKey(t, name, version, nil)
	t.refused(err, 404, "KeyNotFound")
}

func (t *T) keyVersionsOf(client *azkeys.Client, name string) []string {
	var versions []string
	for _, page := range pages(t, client.NewListKeyPropertiesVersionsPager(name, nil)) {
		for _, item := range page.Value {
			t.equal(item.KID.Name(), name)
			versions = append(versions, item.KID.Version())
		}
	}
	slices.Sort(versions)
	return versions
}

func operationNames(operations []*azkeys.KeyOperation) string {
	var names []string
	for _, operation := range operations {
		names = append(names, string(*operation))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func keyCreateRSA(t *T) {
	client := t.keyClient(vaultA)
	for _, size := range []int32{2048, 3072, 4096} {
		name := fresh("rsa")
		made := t.create(client, name, ofRSA(size))
		t.equal([]any{*made.Key.Kty, len(made.Key.N) * 8, made.Key.E}, []any{azkeys.KeyTypeRSA, int(size), []byte{1, 0, 1}})
		t.equal(string(*made.Key.KID), vaultURL(vaultA)+"/keys/"+name+"/"+made.Key.KID.Version())
		t.check(made.Key.D == nil && made.Key.P == nil && made.Key.K == nil, "a private part is shown")
		t.equal(operationNames(made.Key.KeyOps), "decrypt encrypt sign unwrapKey verify wrapKey")
		read := t.key(client, name, "")
		t.equal([]any{*read.Key.KID, read.Key.N, *read.Attributes.Enabled}, []any{*made.Key.KID, made.Key.N, true})
		t.check(time.Since(*read.Attributes.Created).Abs() < 5*time.Minute, "created %v", read.Attributes.Created)
		t.check(*read.Attributes.RecoveryLevel != "" && *read.Attributes.RecoverableDays >= 7, "does not say how it recovers")
	}
}

func keyCreateEC(t *T) {
	fields := map[azkeys.CurveName]int{
		azkeys.CurveNameP256: 32, azkeys.CurveNameP384: 48, azkeys.CurveNameP521: 66, azkeys.CurveNameP256K: 32,
	}
	for curve, field := range fields {
		made := t.create(t.keyClient(vaultA), fresh("ec"), ofEC(curve)).Key
		t.equal([]any{*made.Kty, *made.Crv, len(made.X), len(made.Y)}, []any{azkeys.KeyTypeEC, curve, field, field})
		t.check(made.D == nil, "a private part is shown")
		t.equal(operationNames(made.KeyOps), "sign verify")
	}
}

func keyCreateSymmetric(t *T) {
	for _, size := range []int32{128, 192, 256} {
		made := t.create(t.keyClient(vaultA), fresh("oct"), ofOct(size)).Key
		t.check(*made.Kty == azkeys.KeyTypeOct && made.K == nil, "made %v", *made.Kty)
	}
}

func keyCreateOfAWrongSizeIsRefused(t *T) {
	client := t.keyClient(vaultA)
	for _, wanted := range []wanted{ofRSA(1024), ofRSA(2047), ofRSA(8192), ofOct(64)} {
		_, err := client.CreateKey(t, fresh("size"), wanted, nil)
		t.refused(err, 400, "BadParameter")
	}
}

func keyOfAnHSMInAStandardVaultIsRefused(t *T) {
	client := t.keyClient(vaultA)
	for _, kind := range []azkeys.KeyType{azkeys.KeyTypeRSAHSM, azkeys.KeyTypeECHSM} {
		_, err := client.CreateKey(t, fresh("hsm"), wanted{Kty: &kind}, nil)
		t.refused(err, 400, "BadParameter")
	}
}

func keyAttributes(t *T) {
	client, name := t.keyClient(vaultA), fresh("attributes")
	from, until := daysFromNow(-1), daysFromNow(30)
	tags := map[string]*string{"owner": ptr("team one"), "empty": ptr(""), "ümlaut": ptr("ja")}
	ec := p256
	ec.Tags, ec.KeyOps = tags, operationsOf(azkeys.KeyOperationSign)
	ec.KeyAttributes = &azkeys.KeyAttributes{Enabled: ptr(false), NotBefore: &from, Expires: &until}
	t.create(client, name, ec)
	read := t.key(client, name, "")
	t.equal([]any{read.Tags, operationNames(read.Key.KeyOps), *read.Attributes.Enabled}, []any{tags, "sign", false})
	t.check(read.Attributes.NotBefore.Equal(from) && read.Attributes.Expires.Equal(until), "%v", read.Attributes)
}

func keyImport(t *T) {
	client := t.keyClient(vaultA)
	own := must(rsa.GenerateKey(rand.Reader, 2048))
	own.Precompute()
	imported := must(client.ImportKey(t, fresh("imported"), azkeys.ImportKeyParameters{
		Tags: map[string]*string{"from": ptr("outside")},
		Key: &azkeys.JSONWebKey{
			Kty: ptr(azkeys.KeyTypeRSA), KeyOps: operationsOf(azkeys.KeyOperationSign, azkeys.KeyOperationVerify),
			N: own.N.Bytes(), E: []byte{1, 0, 1}, D: own.D.Bytes(), P: own.Primes[0].Bytes(), Q: own.Primes[1].Bytes(),
			DP: own.Precomputed.Dp.Bytes(), DQ: own.Precomputed.Dq.Bytes(), QI: own.Precomputed.Qinv.Bytes(),
		},
	}, nil))
	t.equal([]any{imported.Key.N, *imported.Tags["from"]}, []any{own.N.Bytes(), "outside"})
	t.check(imported.Key.D == nil, "a private part is shown")
	t.verifiedElsewhere(imported.Key, azkeys.SignatureAlgorithmRS256, t.sign(client, imported.Key, azkeys.SignatureAlgorithmRS256))

	parts := must(ecParts(elliptic.P384()))
	imported = must(client.ImportKey(t, fresh("imported"), azkeys.ImportKeyParameters{Key: parts}, nil))
	t.equal([]any{imported.Key.X, imported.Key.Y}, []any{parts.X, parts.Y})
	t.verifiedElsewhere(imported.Key, azkeys.SignatureAlgorithmES384, t.sign(client, imported.Key, azkeys.SignatureAlgorithmES384))
}

// ecParts is a key made here, in the shape that is imported.
func ecParts(curve elliptic.Curve) (*azkeys.JSONWebKey, error) {
	own, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := own.Bytes()
	if err != nil {
		return nil, err
	}
	public, err := own.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	half := (len(public) - 1) / 2
	return &azkeys.JSONWebKey{
		Kty: ptr(azkeys.KeyTypeEC), Crv: ptr(azkeys.CurveName(curve.Params().Name)),
		KeyOps: operationsOf(azkeys.KeyOperationSign), X: public[1 : 1+half], Y: public[1+half:], D: private,
	}, nil
}

func keyImportOfABrokenKeyIsRefused(t *T) {
	parts := must(ecParts(elliptic.P256()))
	parts.D = must(ecParts(elliptic.P256())).D
	_, err := t.keyClient(vaultA).ImportKey(t, fresh("broken"), azkeys.ImportKeyParameters{Key: parts}, nil)
	t.refused(err, 400, "BadParameter")
}

func keyVersions(t *T) {
	client, name := t.keyClient(vaultA), fresh("versions")
	var versions []string
	for range 3 {
		made := t.create(client, name, p256)
		versions = append(versions, made.Key.KID.Version())
		t.equal(t.key(client, name, made.Key.KID.Version()).Key.X, made.Key.X)
	}
	t.equal(t.key(client, name, "").Key.KID.Version(), versions[2])
	slices.Sort(versions)
	t.equal(t.keyVersionsOf(client, name), versions)
}

func keyUpdate(t *T) {
	client, name, until := t.keyClient(vaultA), fresh("update"), daysFromNow(2)
	first := t.create(client, name, ofRSA(2048))
	tags := map[string]*string{"b": ptr("2")}
	changed := must(client.UpdateKey(t, name, first.Key.KID.Version(), azkeys.UpdateKeyParameters{
		KeyOps: operationsOf(azkeys.KeyOperationEncrypt), Tags: tags, KeyAttributes: &azkeys.KeyAttributes{Expires: &until},
	}, nil))
	t.equal([]any{operationNames(changed.Key.KeyOps), changed.Tags, changed.Key.N}, []any{"encrypt", tags, first.Key.N})
	t.check(changed.Attributes.Expires.Equal(until), "%v", changed.Attributes.Expires)
	t.check(!changed.Attributes.Updated.Before(*first.Attributes.Updated), "`updated` went back")
	// Without a version the newest is meant, and what is not said stays.
	off := azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: ptr(false)}}
	again := must(client.UpdateKey(t, name, "", off, nil))
	t.equal([]any{*again.Attributes.Enabled, again.Tags}, []any{false, tags})
	t.check(again.Attributes.Expires.Equal(until), "%v", again.Attributes.Expires)
}

func keyListOverPages(t *T) {
	client, prefix := t.keyClient(vaultB), fresh("page")
	for number := range 28 {
		ec := p256
		ec.Tags = map[string]*string{"n": ptr(fmt.Sprintf("%02d", number))}
		t.create(client, fmt.Sprintf("%s-%02d", prefix, number), ec)
	}
	read := pages(t, client.NewListKeyPropertiesPager(nil))
	t.check(len(read) >= 2, "%d pages", len(read))
	found := map[string]bool{}
	for _, page := range read {
		t.check(len(page.Value) <= 25, "%d items on a page", len(page.Value))
		for _, item := range page.Value {
			if name := item.KID.Name(); strings.HasPrefix(name, prefix) {
				t.check(!found[name], "%s is listed twice", name)
				found[name] = true
				t.equal([]any{*item.Tags["n"], item.KID.Version()}, []any{name[len(name)-2:], ""})
			}
		}
	}
	t.equal(len(found), 28)
}

func keyNotFound(t *T) {
	client, name := t.keyClient(vaultA), fresh("absent")
	t.keyGone(client, name, "")
	_, err := client.GetDeletedKey(t, name, nil)
	t.refused(err, 404, "KeyNotFound")
	_, err = client.DeleteKey(t, name, nil)
	t.refused(err, 404, "KeyNotFound")
	_, err = client.RotateKey(t, name, nil)
	t.refused(err, 404, "KeyNotFound")
	off := azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: ptr(false)}}
	_, err = client.UpdateKey(t, name, noVersion, off, nil)
	t.refused(err, 404, "KeyNotFound")
	t.create(client, name, p256)
	t.keyGone(client, name, noVersion)
}

func (t *T) listedKeys(client *azkeys.Client) (live, deleted []string) {
	for _, page := range pages(t, client.NewListKeyPropertiesPager(nil)) {
		for _, item := range page.Value {
			live = append(live, item.KID.Name())
		}
	}
	for _, page := range pages(t, client.NewListDeletedKeyPropertiesPager(nil)) {
		for _, item := range page.Value {
			deleted = append(deleted, item.KID.Name())
		}
	}
	return live, deleted
}

func keyDeleteAndRecover(t *T) {
	client, name := t.keyClient(vaultA), fresh("recover")
	first := t.create(client, name, p256)
	tagged := p256
	tagged.Tags = map[string]*string{"k": ptr("v")}
	second := t.create(client, name, tagged)
	deleted := must(client.DeleteKey(t, name, nil))
	t.equal(*deleted.RecoveryID, vaultURL(vaultA)+"/deletedkeys/"+name)
	t.check(deleted.ScheduledPurgeDate.After(*deleted.DeletedDate), "%v", deleted.ScheduledPurgeDate)
	t.keyGone(client, name, "")
	t.keyGone(client, name, first.Key.KID.Version())
	_, err := client.Sign(t, name, second.Key.KID.Version(), signing(azkeys.SignatureAlgorithmES256), nil)
	t.refused(err, 404, "KeyNotFound")
	live, gone := t.listedKeys(client)
	t.check(!slices.Contains(live, name) && slices.Contains(gone, name), "a deleted key is listed wrongly")
	t.equal(*must(client.GetDeletedKey(t, name, nil)).Tags["k"], "v")
	must(client.RecoverDeletedKey(t, name, nil))
	t.equal(t.key(client, name, "").Key.X, second.Key.X)
	t.equal(t.key(client, name, first.Key.KID.Version()).Key.X, first.Key.X)
	t.verifiedElsewhere(second.Key, azkeys.SignatureAlgorithmES256, t.sign(client, second.Key, azkeys.SignatureAlgorithmES256))
}

func keyPurge(t *T) {
	client, name := t.keyClient(vaultA), fresh("purge")
	old := t.create(client, name, p256)
	must(client.DeleteKey(t, name, nil))
	must(client.PurgeDeletedKey(t, name, nil))
	_, err := client.GetDeletedKey(t, name, nil)
	t.refused(err, 404, "KeyNotFound")
	_, err = client.PurgeDeletedKey(t, name, nil)
	t.refused(err, 404, "KeyNotFound")
	made := t.create(client, name, p256)
	t.check(!bytes.Equal(made.Key.X, old.Key.X), "a purged key came back")
	t.equal(t.keyVersionsOf(client, name), []string{made.Key.KID.Version()})
}

func keyNameOfADeletedOneIsTaken(t *T) {
	client, name := t.keyClient(vaultA), fresh("taken")
	t.create(client, name, p256)
	must(client.DeleteKey(t, name, nil))
	_, err := client.CreateKey(t, name, p256, nil)
	t.refused(err, 409, "Conflict", "ObjectIsDeletedButRecoverable")
}

func keyBackupAndRestore(t *T) {
	here, there, name := t.keyClient(vaultA), t.keyClient(vaultB), fresh("backup")
	tagged := ofRSA(2048)
	tagged.Tags = map[string]*string{"a": ptr("b")}
	first := t.create(here, name, tagged)
	second := t.create(here, name, ofRSA(2048))
	backup := azkeys.RestoreKeyParameters{KeyBackup: must(here.BackupKey(t, name, nil)).Value}
	restored := must(there.RestoreKey(t, backup, nil))
	t.check(strings.HasPrefix(string(*restored.Key.KID), vaultURL(vaultB)+"/keys/"+name+"/"), "%s", *restored.Key.KID)
	t.equal(t.key(there, name, "").Key.N, second.Key.N)
	old := t.key(there, name, first.Key.KID.Version())
	t.equal([]any{old.Key.N, *old.Tags["a"]}, []any{first.Key.N, "b"})
	// The private half came with it.
	t.verifiedElsewhere(first.Key, azkeys.SignatureAlgorithmPS256, t.sign(there, old.Key, azkeys.SignatureAlgorithmPS256))
	_, err := there.RestoreKey(t, backup, nil)
	t.refused(err, 409, "Conflict")
}

func keyDamagedBackupIsRefused(t *T) {
	here, there, name := t.keyClient(vaultA), t.keyClient(vaultB), fresh("damaged")
	t.create(here, name, p256)
	backup := must(here.BackupKey(t, name, nil)).Value
	backup[len(backup)/2] ^= 1
	for _, damaged := range [][]byte{backup, {}, []byte("not a backup at all")} {
		_, err := there.RestoreKey(t, azkeys.RestoreKeyParameters{KeyBackup: damaged}, nil)
		t.refused(err, 400, "BadParameter")
	}
	t.keyGone(there, name, "")
}

func keyRotate(t *T) {
	client, name := t.keyClient(vaultA), fresh("rotate")
	tagged := ofRSA(3072)
	tagged.KeyOps = operationsOf(azkeys.KeyOperationSign, azkeys.KeyOperationVerify)
	tagged.Tags = map[string]*string{"kept": ptr("yes")}
	first := t.create(client, name, tagged)
	second := must(client.RotateKey(t, name, nil))
	t.check(*second.Key.KID != *first.Key.KID && !bytes.Equal(second.Key.N, first.Key.N), "not a new version")
	t.equal([]any{len(second.Key.N), operationNames(second.Key.KeyOps), *second.Tags["kept"]}, []any{384, "sign verify", "yes"})
	t.equal(*t.key(client, name, "").Key.KID, *second.Key.KID)
	t.verifiedElsewhere(first.Key, azkeys.SignatureAlgorithmRS256, t.sign(client, first.Key, azkeys.SignatureAlgorithmRS256))
}

func keyRotationPolicy(t *T) {
	client, name := t.keyClient(vaultA), fresh("policy")
	t.create(client, name, ofRSA(2048))
	unset := must(client.GetKeyRotationPolicy(t, name, nil))
	t.equal(len(unset.LifetimeActions), 1)
	t.equal(*unset.LifetimeActions[0].Action.Type, azkeys.KeyRotationPolicyActionNotify)
	policy := azkeys.KeyRotationPolicy{
		Attributes: &azkeys.KeyRotationPolicyAttributes{ExpiryTime: ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{
			{
				Action:  &azkeys.LifetimeActionType{Type: ptr(azkeys.KeyRotationPolicyActionRotate)},
				Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: ptr("P30D")},
			},
			{
				Action:  &azkeys.LifetimeActionType{Type: ptr(azkeys.KeyRotationPolicyActionNotify)},
				Trigger: &azkeys.LifetimeActionTrigger{TimeBeforeExpiry: ptr("P30D")},
			},
		},
	}
	must(client.UpdateKeyRotationPolicy(t, name, policy, nil))
	read := must(client.GetKeyRotationPolicy(t, name, nil))
	t.equal(*read.Attributes.ExpiryTime, "P90D")
	for _, action := range read.LifetimeActions {
		if strings.EqualFold(string(*action.Action.Type), "rotate") {
			t.equal(*action.Trigger.TimeAfterCreate, "P30D")
		} else {
			t.equal(*action.Trigger.TimeBeforeExpiry, "P30D")
		}
	}
	t.equal(len(read.LifetimeActions), 2)
	// A key made now expires when the policy says.
	made := must(client.RotateKey(t, name, nil)).Attributes
	lifetime := made.Expires.Sub(*made.Created)
	t.check((lifetime-90*24*time.Hour).Abs() < time.Minute, "lives for %v", lifetime)
	policy.Attributes.ExpiryTime = ptr("P1D")
	_, err := client.UpdateKeyRotationPolicy(t, name, policy, nil)
	t.refused(err, 400, "BadParameter")
}

func keyRandomBytes(t *T) {
	for _, vault := range []int{vaultA, premium} {
		random := func(count int32) ([]byte, error) {
			read, err := t.keyClient(vault).GetRandomBytes(t, azkeys.GetRandomBytesParameters{Count: &count}, nil)
			return read.Value, err
		}
		for _, count := range []int32{1, 32, 128} {
			t.equal(len(must(random(count))), int(count))
		}
		t.check(!bytes.Equal(must(random(32)), must(random(32))), "the same bytes twice")
		_, err := random(129)
		t.refused(err, 400, "BadParameter")
	}
}

func keyCreateWithNothingSaid(t *T) {
	client := t.keyClient(vaultA)
	t.equal(len(t.create(client, fresh("plain"), wanted{Kty: ptr(azkeys.KeyTypeRSA)}).Key.N), 256)
	t.equal(*t.create(client, fresh("plain"), wanted{Kty: ptr(azkeys.KeyTypeEC)}).Key.Crv, azkeys.CurveNameP256)
}

func keyUpdateKeepsOperations(t *T) {
	client, name, ec := t.keyClient(vaultA), fresh("keeps"), p256
	ec.KeyOps = operationsOf(azkeys.KeyOperationSign)
	t.create(client, name, ec)
	tagged := azkeys.UpdateKeyParameters{Tags: map[string]*string{"b": ptr("2")}}
	t.equal(operationNames(must(client.UpdateKey(t, name, "", tagged, nil)).Key.KeyOps), "sign")
}
