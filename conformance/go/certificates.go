package main

// The life of certificates, through azcertificates as it is; what comes out is read by Go's own X.509.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func init() {
	register(map[string]scenario{
		"certificate-create-self-signed":              certificateCreateSelfSigned,
		"certificate-default-policy":                  certificateDefaultPolicy,
		"certificate-create-ec":                       certificateCreateEC,
		"certificate-names-and-usages":                certificateNamesAndUsages,
		"certificate-policy-without-sense-is-refused": certificatePolicyWithoutSenseIsRefused,
		"certificate-versions":                        certificateVersions,
		"certificate-update":                          certificateUpdate,
		"certificate-policy-update":                   certificatePolicyUpdate,
		"certificate-not-found":                       certificateNotFound,
		"certificate-delete-and-recover":              certificateDeleteAndRecover,
		"certificate-purge":                           certificatePurge,
		"certificate-name-of-a-deleted-one-is-taken":  certificateNameOfADeletedOneIsTaken,
		"certificate-backup-and-restore":              certificateBackupAndRestore,
		"certificate-import-pem":                      certificateImportPEM,
		"certificate-request-and-merge":               certificateRequestAndMerge,
		"certificate-merge-of-another-key-is-refused": certificateMergeOfAnotherKeyIsRefused,
		"certificate-operation-cancelled-and-deleted": certificateOperationCancelledAndDeleted,
		"certificate-secret-as-pem":                   certificateSecretAsPEM,
		"certificate-key-signs":                       certificateKeySigns,
		"certificate-key-that-stays":                  certificateKeyThatStays,
		"certificate-key-and-secret-are-managed":      certificateKeyAndSecretAreManaged,
		"certificate-contacts":                        certificateContacts,
		"certificate-without-a-role":                  certificateWithoutARole,
	})
}

const pemType = "application/x-pem-file"

// policyOf is one whose key is quickly made; what is not said is left to the vault.
func policyOf(issuer, subject string) azcertificates.CertificatePolicy {
	return azcertificates.CertificatePolicy{
		IssuerParameters: &azcertificates.IssuerParameters{Name: &issuer},
		KeyProperties: &azcertificates.KeyProperties{
			KeyType: ptr(azcertificates.KeyTypeEC), Curve: ptr(azcertificates.CurveNameP256), Exportable: ptr(true),
		},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: &subject},
	}
}

func ownPolicy() azcertificates.CertificatePolicy {
	return policyOf("Self", "CN=conformance.example")
}

func pemPolicy() azcertificates.CertificatePolicy {
	own := ownPolicy()
	own.SecretProperties = &azcertificates.SecretProperties{ContentType: ptr(pemType)}
	return own
}

func (t *T) certificateClient(vault int) *azcertificates.Client {
	options := azcertificates.ClientOptions{ClientOptions: recorded}
	return must(azcertificates.NewClient(vaultURL(vault), t.managedIdentity(), &options))
}

// certified begins a certificate and asks until it is there, as this client leaves to its caller.
func (t *T) certified(
	client *azcertificates.Client, name string, policy azcertificates.CertificatePolicy, tags map[string]*string,
) azcertificates.Certificate {
	parameters := azcertificates.CreateCertificateParameters{CertificatePolicy: &policy, Tags: tags}
	begun := must(client.CreateCertificate(t, name, parameters, nil)).CertificateOperation
	for *begun.Status == "inProgress" {
		begun = must(client.GetCertificateOperation(t, name, nil)).CertificateOperation
		t.check(t.Err() == nil, "still in progress")
	}
	t.equal(*begun.Status, "completed")
	return t.certificateOf(client, name, "")
}

func (t *T) certificateOf(client *azcertificates.Client, name, version string) azcertificates.Certificate {
	return must(client.GetCertificate(t, name, version, nil)).Certificate
}

func (t *T) certificateGone(client *azcertificates.Client, name, version string) {
	_, err := client.GetCertificate(t, name, version, nil)
	t.refused(err, 404, "CertificateNotFound")
}

func (t *T) certificateVersionsOf(client *azcertificates.Client, name string) (versions []string) {
	for _, page := range pages(t, client.NewListCertificatePropertiesVersionsPager(name, nil)) {
		for _, item := range page.Value {
			versions = append(versions, item.ID.Version())
		}
	}
	slices.Sort(versions)
	return versions
}

func (t *T) secretOf(name string) azsecrets.Secret {
	return must(t.secretClient(vaultA).GetSecret(t, name, "", nil)).Secret
}

func parsed(der []byte) *x509.Certificate {
	return must(x509.ParseCertificate(der))
}

func certificateCreateSelfSigned(t *T) {
	client, name, tags := t.certificateClient(vaultA), fresh("self"), map[string]*string{"a": ptr("b")}
	how := azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: ptr("Self")},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: ptr("CN=DefaultPolicy")},
	}
	made := t.certified(client, name, how, tags)
	version, found := made.ID.Version(), parsed(made.CER)
	t.equal(made.Tags, tags)
	t.equal(string(*made.ID), vaultURL(vaultA)+"/certificates/"+name+"/"+version)
	t.equal(string(*made.KID), vaultURL(vaultA)+"/keys/"+name+"/"+version)
	t.equal(string(*made.SID), vaultURL(vaultA)+"/secrets/"+name+"/"+version)
	t.equal([]any{found.Subject.String(), found.PublicKey.(*rsa.PublicKey).Size()}, []any{"CN=DefaultPolicy", 256})
	t.check(found.CheckSignature(found.SignatureAlgorithm, found.RawTBSCertificate, found.Signature) == nil, "not self-signed")
	print := sha1.Sum(made.CER)
	t.equal(made.X509Thumbprint, print[:])
	t.check(made.Attributes.NotBefore.Equal(found.NotBefore) && made.Attributes.Expires.Equal(found.NotAfter), "dates")
	t.check(*made.Attributes.Enabled && *made.Attributes.RecoverableDays >= 7, "%v", made.Attributes)
}

func certificateDefaultPolicy(t *T) {
	client, name := t.certificateClient(vaultA), fresh("default")
	t.certified(client, name, azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: ptr("Self")},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: ptr("CN=DefaultPolicy")},
	}, nil)
	found := must(client.GetCertificatePolicy(t, name, nil))
	key, x := found.KeyProperties, found.X509CertificateProperties
	t.equal([]any{*key.KeyType, *key.KeySize, *key.Exportable, *key.ReuseKey}, []any{azcertificates.KeyTypeRSA, int32(2048), true, false})
	t.equal([]any{*found.SecretProperties.ContentType, *x.ValidityInMonths}, []any{"application/x-pkcs12", int32(12)})
	t.equal([]int{len(x.EnhancedKeyUsage), len(x.KeyUsage), len(found.LifetimeActions)}, []int{2, 2, 1})
	t.equal(*found.LifetimeActions[0].Action.ActionType, azcertificates.CertificatePolicyActionAutoRenew)
	t.equal(*found.LifetimeActions[0].Trigger.LifetimePercentage, int32(80))
}

func certificateCreateEC(t *T) {
	for curve, size := range map[azcertificates.CurveName]int{"P-256": 256, "P-384": 384, "P-521": 521} {
		how := ownPolicy()
		how.KeyProperties.Curve = &curve
		found := parsed(t.certified(t.certificateClient(vaultA), fresh("ec"), how, nil).CER)
		t.equal(found.PublicKey.(*ecdsa.PublicKey).Params().BitSize, size)
	}
}

func certificateNamesAndUsages(t *T) {
	how := policyOf("Self", "CN=names.example, O=Team One, C=CH")
	x := how.X509CertificateProperties
	x.SubjectAlternativeNames = &azcertificates.SubjectAlternativeNames{
		DNSNames: []*string{ptr("names.example"), ptr("*.names.example")}, Emails: []*string{ptr("someone@names.example")},
	}
	x.EnhancedKeyUsage = []*string{ptr("1.3.6.1.5.5.7.3.3")}
	x.KeyUsage = []*azcertificates.KeyUsageType{
		ptr(azcertificates.KeyUsageTypeDigitalSignature), ptr(azcertificates.KeyUsageTypeNonRepudiation),
	}
	x.ValidityInMonths = ptr(int32(3))
	found := parsed(t.certified(t.certificateClient(vaultA), fresh("names"), how, nil).CER)
	t.equal([]string{found.Subject.CommonName, found.Subject.Organization[0], found.Subject.Country[0]},
		[]string{"names.example", "Team One", "CH"})
	slices.Sort(found.DNSNames)
	t.equal([][]string{found.DNSNames, found.EmailAddresses},
		[][]string{{"*.names.example", "names.example"}, {"someone@names.example"}})
	t.equal(found.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning})
	t.equal(found.KeyUsage, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment)
	days := found.NotAfter.Sub(found.NotBefore).Hours() / 24
	t.check(days > 88 && days < 94, "valid for %f days", days)
}

func certificatePolicyWithoutSenseIsRefused(t *T) {
	small, long, odd := ownPolicy(), ownPolicy(), ownPolicy()
	small.KeyProperties = &azcertificates.KeyProperties{KeyType: ptr(azcertificates.KeyTypeRSA), KeySize: ptr(int32(1024))}
	long.X509CertificateProperties.ValidityInMonths = ptr(int32(100_000))
	odd.SecretProperties = &azcertificates.SecretProperties{ContentType: ptr("text/plain")}
	for _, wrong := range []azcertificates.CertificatePolicy{
		small, long, odd, policyOf("Self", "not a name"), policyOf("NoSuchIssuer", "CN=conformance.example"),
	} {
		parameters := azcertificates.CreateCertificateParameters{CertificatePolicy: &wrong}
		_, err := t.certificateClient(vaultA).CreateCertificate(t, fresh("wrong"), parameters, nil)
		t.refused(err, 400, "BadParameter")
	}
}

func certificateVersions(t *T) {
	client, name := t.certificateClient(vaultA), fresh("versions")
	var versions []string
	for range 3 {
		made := t.certified(client, name, ownPolicy(), nil)
		versions = append(versions, made.ID.Version())
		t.equal(t.certificateOf(client, name, made.ID.Version()).CER, made.CER)
	}
	t.equal(t.certificateOf(client, name, "").ID.Version(), versions[2])
	slices.Sort(versions)
	t.equal(t.certificateVersionsOf(client, name), versions)
}

func certificateUpdate(t *T) {
	client, name := t.certificateClient(vaultA), fresh("update")
	made := t.certified(client, name, ownPolicy(), map[string]*string{"a": ptr("1")})
	tags := map[string]*string{"b": ptr("2")}
	enabled := func(enabled bool) *azcertificates.CertificateAttributes {
		return &azcertificates.CertificateAttributes{Enabled: &enabled}
	}
	off := azcertificates.UpdateCertificateParameters{CertificateAttributes: enabled(false), Tags: tags}
	changed := must(client.UpdateCertificate(t, name, made.ID.Version(), off, nil))
	t.equal([]any{*changed.Attributes.Enabled, changed.Tags, changed.CER}, []any{false, tags, made.CER})
	_, err := t.secretClient(vaultA).GetSecret(t, name, "", nil)
	t.refused(err, 403, "Forbidden", "SecretDisabled")
	// Without a version the newest is meant, and what is not said stays.
	on := azcertificates.UpdateCertificateParameters{CertificateAttributes: enabled(true)}
	again := must(client.UpdateCertificate(t, name, "", on, nil))
	t.equal([]any{*again.Attributes.Enabled, again.Tags}, []any{true, tags})
}

func certificatePolicyUpdate(t *T) {
	client, name := t.certificateClient(vaultA), fresh("policy")
	t.certified(client, name, ownPolicy(), nil)
	changed := must(client.UpdateCertificatePolicy(t, name, policyOf("Self", "CN=changed.example"), nil)).CertificatePolicy
	t.equal(*changed.X509CertificateProperties.Subject, "CN=changed.example")
	// What is there stays as it was made; the next one follows the policy.
	t.equal(parsed(t.certificateOf(client, name, "").CER).Subject.String(), "CN=conformance.example")
	next := must(client.GetCertificatePolicy(t, name, nil)).CertificatePolicy
	t.equal(parsed(t.certified(client, name, next, nil).CER).Subject.String(), "CN=changed.example")
}

func certificateNotFound(t *T) {
	client, name := t.certificateClient(vaultA), fresh("absent")
	t.certificateGone(client, name, "")
	_, err := client.GetCertificatePolicy(t, name, nil)
	t.refused(err, 404, "CertificateNotFound")
	_, err = client.GetDeletedCertificate(t, name, nil)
	t.refused(err, 404, "CertificateNotFound")
	_, err = client.DeleteCertificate(t, name, nil)
	t.refused(err, 404, "CertificateNotFound")
	_, err = client.GetCertificateOperation(t, name, nil)
	t.refused(err, 404, "PendingCertificateNotFound")
	t.certified(client, name, ownPolicy(), nil)
	t.certificateGone(client, name, noVersion)
}

func certificateDeleteAndRecover(t *T) {
	client, name := t.certificateClient(vaultA), fresh("recover")
	first := t.certified(client, name, ownPolicy(), nil)
	second := t.certified(client, name, ownPolicy(), map[string]*string{"k": ptr("v")})
	deleted := must(client.DeleteCertificate(t, name, nil))
	t.equal(*deleted.RecoveryID, vaultURL(vaultA)+"/deletedcertificates/"+name)
	t.check(deleted.ScheduledPurgeDate.After(*deleted.DeletedDate), "%v", deleted.ScheduledPurgeDate)
	t.certificateGone(client, name, "")
	// Its key and its secret went with it.
	_, err := t.secretClient(vaultA).GetSecret(t, name, "", nil)
	t.refused(err, 404, "SecretNotFound")
	t.keyGone(t.keyClient(vaultA), name, "")
	t.equal(*must(client.GetDeletedCertificate(t, name, nil)).Tags["k"], "v")
	found := false
	for _, page := range pages(t, client.NewListDeletedCertificatePropertiesPager(nil)) {
		for _, item := range page.Value {
			found = found || item.ID.Name() == name
		}
	}
	t.check(found, "a deleted certificate is not listed as deleted")
	must(client.RecoverDeletedCertificate(t, name, nil))
	t.equal(t.certificateOf(client, name, "").CER, second.CER)
	t.equal(t.certificateOf(client, name, first.ID.Version()).CER, first.CER)
	t.check(*t.secretOf(name).Value != "", "the secret did not come back")
}

func certificatePurge(t *T) {
	client, name := t.certificateClient(vaultA), fresh("purge")
	old := t.certified(client, name, ownPolicy(), nil)
	must(client.DeleteCertificate(t, name, nil))
	must(client.PurgeDeletedCertificate(t, name, nil))
	_, err := client.GetDeletedCertificate(t, name, nil)
	t.refused(err, 404, "CertificateNotFound")
	made := t.certified(client, name, ownPolicy(), nil)
	t.check(!bytes.Equal(made.CER, old.CER), "a purged certificate came back")
	t.equal(t.certificateVersionsOf(client, name), []string{made.ID.Version()})
}

func certificateNameOfADeletedOneIsTaken(t *T) {
	client, name, how := t.certificateClient(vaultA), fresh("taken"), ownPolicy()
	t.certified(client, name, how, nil)
	must(client.DeleteCertificate(t, name, nil))
	_, err := client.CreateCertificate(t, name, azcertificates.CreateCertificateParameters{CertificatePolicy: &how}, nil)
	t.refused(err, 409, "Conflict", "ObjectIsDeletedButRecoverable")
	// The names of its key and its secret are taken with it.
	_, err = t.secretClient(vaultA).SetSecret(t, name, azsecrets.SetSecretParameters{Value: ptr("other")}, nil)
	t.refused(err, 409, "Conflict")
}

func certificateBackupAndRestore(t *T) {
	here, there, name := t.certificateClient(vaultA), t.certificateClient(vaultB), fresh("backup")
	first := t.certified(here, name, ownPolicy(), map[string]*string{"a": ptr("b")})
	second := t.certified(here, name, pemPolicy(), nil)
	backup := must(here.BackupCertificate(t, name, nil)).Value
	restored := must(there.RestoreCertificate(t, azcertificates.RestoreCertificateParameters{CertificateBackup: backup}, nil))
	t.check(strings.HasPrefix(string(*restored.ID), vaultURL(vaultB)+"/certificates/"+name+"/"), "%s", *restored.ID)
	t.equal(t.certificateOf(there, name, "").CER, second.CER)
	old := t.certificateOf(there, name, first.ID.Version())
	t.equal([]any{old.CER, *old.Tags["a"]}, []any{first.CER, "b"})
	// The key came with it.
	other := must(t.secretClient(vaultB).GetSecret(t, name, "", nil))
	t.check(*other.Value == *t.secretOf(name).Value, "the secrets differ")
	_, err := there.RestoreCertificate(t, azcertificates.RestoreCertificateParameters{CertificateBackup: backup}, nil)
	t.refused(err, 409, "Conflict")
	backup[len(backup)/2] ^= 1
	_, err = here.RestoreCertificate(t, azcertificates.RestoreCertificateParameters{CertificateBackup: backup}, nil)
	t.refused(err, 400, "BadParameter")
}

// authority is who signs certificates outside of the vault.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority() authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Somebody Else's Authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{key, parsed(must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)))}
}

func (a authority) issue(public any, subject pkix.Name) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
	}
	return must(x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key))
}

func certificateImportPEM(t *T) {
	client, name, outside := t.certificateClient(vaultA), fresh("pem"), newAuthority()
	own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := outside.issue(&own.PublicKey, pkix.Name{CommonName: "elsewhere.example"})
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(own))})
	file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})...)
	file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outside.certificate.Raw})...)
	how := azcertificates.CertificatePolicy{SecretProperties: &azcertificates.SecretProperties{ContentType: ptr(pemType)}}
	parameters := azcertificates.ImportCertificateParameters{Base64EncodedCertificate: ptr(string(file)), CertificatePolicy: &how}
	imported := must(client.ImportCertificate(t, name, parameters, nil))
	t.equal([]any{imported.CER, *imported.Policy.IssuerParameters.Name}, []any{leaf, "Unknown"})
	key := t.key(t.keyClient(vaultA), name, "").Key
	signature := t.sign(t.keyClient(vaultA), key, azkeys.SignatureAlgorithmES256)
	t.verifiedElsewhere(key, azkeys.SignatureAlgorithmES256, signature)
}

func (t *T) begun(client *azcertificates.Client, name string, how azcertificates.CertificatePolicy) azcertificates.CertificateOperation {
	parameters := azcertificates.CreateCertificateParameters{CertificatePolicy: &how}
	return must(client.CreateCertificate(t, name, parameters, nil)).CertificateOperation
}

func certificateRequestAndMerge(t *T) {
	client, name, outside := t.certificateClient(vaultA), fresh("merge"), newAuthority()
	operation := t.begun(client, name, policyOf("Unknown", "CN=merged.example"))
	request := must(x509.ParseCertificateRequest(operation.CSR))
	t.check(request.CheckSignature() == nil, "the request is not signed")
	t.equal(request.Subject.String(), "CN=merged.example")
	leaf := outside.issue(request.PublicKey, request.Subject)
	chain := azcertificates.MergeCertificateParameters{X509Certificates: [][]byte{leaf, outside.certificate.Raw}}
	t.equal(must(client.MergeCertificate(t, name, chain, nil)).CER, leaf)
	t.equal(*must(client.GetCertificateOperation(t, name, nil)).Status, "completed")
}

func certificateMergeOfAnotherKeyIsRefused(t *T) {
	client, name := t.certificateClient(vaultA), fresh("another")
	t.begun(client, name, policyOf("Unknown", "CN=merged.example"))
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := newAuthority().issue(&other.PublicKey, pkix.Name{CommonName: "merged.example"})
	_, err := client.MergeCertificate(t, name, azcertificates.MergeCertificateParameters{X509Certificates: [][]byte{leaf}}, nil)
	t.refused(err, 400, "BadParameter")
	t.equal(*must(client.GetCertificateOperation(t, name, nil)).Status, "inProgress")
}

func certificateOperationCancelledAndDeleted(t *T) {
	client, name, how := t.certificateClient(vaultA), fresh("cancel"), ownPolicy()
	t.begun(client, name, policyOf("Unknown", "CN=merged.example"))
	// There is one operation at a time.
	_, err := client.CreateCertificate(t, name, azcertificates.CreateCertificateParameters{CertificatePolicy: &how}, nil)
	t.refused(err, 409, "Conflict")
	cancel := azcertificates.UpdateCertificateOperationParameter{CancellationRequested: ptr(true)}
	must(client.UpdateCertificateOperation(t, name, cancel, nil))
	t.equal(*must(client.GetCertificateOperation(t, name, nil)).Status, "cancelled")
	t.equal(*must(client.DeleteCertificateOperation(t, name, nil)).Status, "cancelled")
	_, err = client.GetCertificateOperation(t, name, nil)
	t.refused(err, 404, "PendingCertificateNotFound")
	t.check(len(t.certified(client, name, how, nil).CER) > 0, "no certificate")
}

// inPEM is what stands in a secret: the certificates, and the private key if there is one.
func inPEM(text string) (certificates []*x509.Certificate, key any) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certificates, key
		}
		if block.Type == "CERTIFICATE" {
			certificates = append(certificates, parsed(block.Bytes))
		} else {
			key = must(x509.ParsePKCS8PrivateKey(block.Bytes))
		}
	}
}

func certificateSecretAsPEM(t *T) {
	made := t.certified(t.certificateClient(vaultA), fresh("pem"), pemPolicy(), nil)
	secret := t.secretOf(made.ID.Name())
	t.equal(*secret.ContentType, pemType)
	certificates, key := inPEM(*secret.Value)
	t.equal([]any{len(certificates), certificates[0].Raw}, []any{1, made.CER})
	t.check(key.(*ecdsa.PrivateKey).PublicKey.Equal(certificates[0].PublicKey), "the key of another certificate")
}

func certificateKeySigns(t *T) {
	made := t.certified(t.certificateClient(vaultA), fresh("signs"), ownPolicy(), nil)
	key := t.key(t.keyClient(vaultA), made.ID.Name(), "")
	t.equal([]any{string(*key.Key.KID), *key.Managed}, []any{string(*made.KID), true})
	public := must(parsed(made.CER).PublicKey.(*ecdsa.PublicKey).Bytes())
	t.equal(public[1:], append(slices.Clone(key.Key.X), key.Key.Y...))
	signature := t.sign(t.keyClient(vaultA), key.Key, azkeys.SignatureAlgorithmES256)
	t.verifiedElsewhere(key.Key, azkeys.SignatureAlgorithmES256, signature)
}

func certificateKeyThatStays(t *T) {
	how := pemPolicy()
	how.KeyProperties.Exportable = ptr(false)
	made := t.certified(t.certificateClient(vaultA), fresh("stays"), how, nil)
	certificates, key := inPEM(*t.secretOf(made.ID.Name()).Value)
	t.check(key == nil, "the private key is given out")
	t.equal(certificates[0].Raw, made.CER)
	shown := t.key(t.keyClient(vaultA), made.ID.Name(), "").Key
	signature := t.sign(t.keyClient(vaultA), shown, azkeys.SignatureAlgorithmES256)
	t.verifiedElsewhere(shown, azkeys.SignatureAlgorithmES256, signature)
}

func certificateKeyAndSecretAreManaged(t *T) {
	made := t.certified(t.certificateClient(vaultA), fresh("managed"), ownPolicy(), nil)
	name, secrets, keys := made.ID.Name(), t.secretClient(vaultA), t.keyClient(vaultA)
	_, err := secrets.SetSecret(t, name, azsecrets.SetSecretParameters{Value: ptr("other")}, nil)
	t.refused(err, 403, "Forbidden")
	_, err = secrets.DeleteSecret(t, name, nil)
	t.refused(err, 403, "Forbidden")
	_, err = keys.DeleteKey(t, name, nil)
	t.refused(err, 403, "Forbidden")
	_, err = keys.RotateKey(t, name, nil)
	t.refused(err, 403, "Forbidden")
}

func certificateContacts(t *T) {
	client := t.certificateClient(vaultB)
	people := []*azcertificates.Contact{
		{Email: ptr("one@example.test"), Name: ptr("One"), Phone: ptr("1")}, {Email: ptr("two@example.test")},
	}
	t.equal(must(client.SetContacts(t, azcertificates.Contacts{ContactList: people}, nil)).ContactList, people)
	t.equal(must(client.GetContacts(t, nil)).ContactList, people)
	t.equal(must(client.DeleteContacts(t, nil)).ContactList, people)
	_, err := client.GetContacts(t, nil)
	t.refused(err, 404, "ContactsNotFound")
}

func certificateWithoutARole(t *T) {
	client, name, how, stranger := t.certificateClient(vaultA), fresh("absent"), ownPolicy(), world.Identities["stranger"]
	refused := func(err error, action string) {
		t.refused(err, 403, "ForbiddenByRbac", stranger.ClientID, stranger.PrincipalID, "Microsoft.KeyVault/vaults/"+action)
	}
	_, err := client.GetCertificate(t, name, "", nil)
	refused(err, "certificates/read")
	_, err = client.NewListCertificatePropertiesPager(nil).NextPage(t)
	refused(err, "certificates/read")
	_, err = client.CreateCertificate(t, name, azcertificates.CreateCertificateParameters{CertificatePolicy: &how}, nil)
	refused(err, "certificates/create/action")
	_, err = client.DeleteCertificate(t, name, nil)
	refused(err, "certificates/delete")
	_, err = client.PurgeDeletedCertificate(t, name, nil)
	refused(err, "certificates/purge/action")
	_, err = client.SetIssuer(t, name, azcertificates.SetIssuerParameters{Provider: ptr("Test")}, nil)
	refused(err, "certificatecas/write")
	_, err = client.DeleteContacts(t, nil)
	refused(err, "certificatecontacts/write")
}
