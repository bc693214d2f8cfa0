package main

// Certificates in lists and bundles, and who issues them, through azcertificates as it is. Go's own library reads no
// PKCS #12 of today, so that another's does.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"software.sslmate.com/src/go-pkcs12"
)

func init() {
	register(map[string]scenario{
		"certificate-list-over-pages":                    certificateListOverPages,
		"certificate-pending-is-listed-when-asked":       certificatePendingIsListedWhenAsked,
		"certificate-import-pkcs12":                      certificateImportPKCS12,
		"certificate-import-of-a-broken-file-is-refused": certificateImportOfABrokenFileIsRefused,
		"certificate-secret-as-pkcs12":                   certificateSecretAsPKCS12,
		"certificate-issuers":                            certificateIssuers,
		"certificate-private-authority":                  certificatePrivateAuthority,
	})
}

// inPKCS12 is what stands in a secret: the certificates from the leaf up, and the private key.
func inPKCS12(text string) (chain []*x509.Certificate, key crypto.Signer) {
	private, leaf, above, err := pkcs12.DecodeChain(must(base64.StdEncoding.DecodeString(text)), "")
	must(leaf, err)
	return append([]*x509.Certificate{leaf}, above...), private.(crypto.Signer)
}

func (t *T) belongs(key crypto.Signer, certificate *x509.Certificate) {
	public := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	t.check(public.Equal(certificate.PublicKey), "the key of another certificate")
}

func certificateListOverPages(t *T) {
	client, prefix := t.certificateClient(vaultB), fresh("page")
	var names []string
	for number := range 27 {
		tag := fmt.Sprintf("%02d", number)
		names = append(names, prefix+"-"+tag)
		t.certified(client, prefix+"-"+tag, ownPolicy(), map[string]*string{"n": &tag})
	}
	found, listed := pages(t, client.NewListCertificatePropertiesPager(nil)), []string(nil)
	t.check(len(found) >= 2, "%d pages", len(found))
	for _, page := range found {
		t.check(len(page.Value) <= 25, "a page of %d", len(page.Value))
		for _, item := range page.Value {
			if name := item.ID.Name(); strings.HasPrefix(name, prefix) {
				t.equal([]string{item.ID.Version(), *item.Tags["n"]}, []string{"", name[len(name)-2:]})
				listed = append(listed, name)
			}
		}
	}
	slices.Sort(listed)
	t.equal(listed, names)
}

func (t *T) lists(client *azcertificates.Client, name string, pending bool) bool {
	options := azcertificates.ListCertificatePropertiesOptions{IncludePending: &pending}
	for _, page := range pages(t, client.NewListCertificatePropertiesPager(&options)) {
		for _, item := range page.Value {
			if item.ID.Name() == name {
				return true
			}
		}
	}
	return false
}

func certificatePendingIsListedWhenAsked(t *T) {
	client, name := t.certificateClient(vaultA), fresh("pending")
	t.begun(client, name, policyOf("Unknown", "CN=pending.example"))
	t.check(!t.lists(client, name, false), "it is listed")
	t.check(t.lists(client, name, true), "it is not listed")
}

func imported(file []byte, password string) azcertificates.ImportCertificateParameters {
	return azcertificates.ImportCertificateParameters{
		Base64EncodedCertificate: ptr(base64.StdEncoding.EncodeToString(file)), Password: &password,
		Tags: map[string]*string{"from": ptr("outside")},
	}
}

func certificateImportPKCS12(t *T) {
	client, outside := t.certificateClient(vaultA), newAuthority()
	own := must(rsa.GenerateKey(rand.Reader, 2048))
	leaf := outside.issue(&own.PublicKey, pkix.Name{CommonName: "elsewhere.example"})
	for _, password := range []string{"", "of the file"} {
		name := fresh("pkcs12")
		file := must(pkcs12.Modern.Encode(own, parsed(leaf), []*x509.Certificate{outside.certificate}, password))
		made := must(client.ImportCertificate(t, name, imported(file, password), nil))
		t.equal([]any{made.CER, *made.Tags["from"]}, []any{leaf, "outside"})
		t.equal([]any{*made.Policy.IssuerParameters.Name, *made.Policy.KeyProperties.KeyType},
			[]any{"Unknown", azcertificates.KeyTypeRSA})
		chain, key := inPKCS12(*t.secretOf(name).Value)
		t.equal([][]byte{chain[0].Raw, chain[1].Raw}, [][]byte{leaf, outside.certificate.Raw})
		t.belongs(key, chain[0])
	}
}

func certificateImportOfABrokenFileIsRefused(t *T) {
	client, outside := t.certificateClient(vaultA), newAuthority()
	own, other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := outside.issue(&own.PublicKey, pkix.Name{CommonName: "elsewhere.example"})
	inPEM := func(blocks ...*pem.Block) azcertificates.ImportCertificateParameters {
		var file []byte
		for _, block := range blocks {
			file = append(file, pem.EncodeToMemory(block)...)
		}
		how := pemPolicy()
		return azcertificates.ImportCertificateParameters{Base64EncodedCertificate: ptr(string(file)), CertificatePolicy: &how}
	}
	certificate := &pem.Block{Type: "CERTIFICATE", Bytes: leaf}
	wrong := &pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(other))}
	for _, parameters := range []azcertificates.ImportCertificateParameters{
		imported([]byte("not a certificate at all"), ""),
		imported(must(pkcs12.Modern.Encode(own, parsed(leaf), nil, "right")), "wrong"),
		// Without a key, and with the key of another.
		inPEM(certificate),
		inPEM(wrong, certificate),
	} {
		name := fresh("broken")
		_, err := client.ImportCertificate(t, name, parameters, nil)
		t.refused(err, 400, "BadParameter")
		t.certificateGone(client, name, "")
	}
}

func certificateSecretAsPKCS12(t *T) {
	how := azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: ptr("Self")},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: ptr("CN=conformance.example")},
	}
	made := t.certified(t.certificateClient(vaultA), fresh("pfx"), how, nil)
	secret := t.secretOf(made.ID.Name())
	t.equal([]any{*secret.ContentType, string(*secret.KID), string(*secret.ID)},
		[]any{"application/x-pkcs12", string(*made.KID), string(*made.SID)})
	chain, key := inPKCS12(*secret.Value)
	t.equal([]any{len(chain), chain[0].Raw}, []any{1, made.CER})
	t.belongs(key, chain[0])
}

func certificateIssuers(t *T) {
	client, name := t.certificateClient(vaultB), fresh("issuer")
	contact := &azcertificates.AdministratorContact{
		FirstName: ptr("First"), LastName: ptr("Last"), Email: ptr("admin@example.test"), Phone: ptr("555"),
	}
	people := []*azcertificates.AdministratorContact{contact}
	made := must(client.SetIssuer(t, name, azcertificates.SetIssuerParameters{
		Provider:            ptr("Test"),
		Credentials:         &azcertificates.IssuerCredentials{AccountID: ptr("account"), Password: ptr("of the account")},
		OrganizationDetails: &azcertificates.OrganizationDetails{ID: ptr("one"), AdminContacts: people},
	}, nil))
	id := vaultURL(vaultB) + "/certificates/issuers/" + name
	t.equal([]string{*made.ID, *made.Provider}, []string{id, "Test"})
	read := must(client.GetIssuer(t, name, nil))
	t.equal([]string{*read.Provider, *read.Credentials.AccountID, *read.OrganizationDetails.ID}, []string{"Test", "account", "one"})
	t.check(read.Credentials.Password == nil, "an issuer's password is shown")
	t.check(*read.Attributes.Enabled, "it is disabled")
	t.equal(read.OrganizationDetails.AdminContacts, people)
	found := false
	for _, page := range pages(t, client.NewListIssuerPropertiesPager(nil)) {
		for _, item := range page.Value {
			found = found || *item.ID == id && *item.Provider == "Test"
		}
	}
	t.check(found, "it is not listed")
	changed := must(client.UpdateIssuer(t, name, azcertificates.UpdateIssuerParameters{
		Attributes:  &azcertificates.IssuerAttributes{Enabled: ptr(false)},
		Credentials: &azcertificates.IssuerCredentials{AccountID: ptr("other")},
	}, nil))
	t.equal([]any{*changed.Attributes.Enabled, *changed.Credentials.AccountID, *changed.Provider}, []any{false, "other", "Test"})
	t.equal(*must(client.DeleteIssuer(t, name, nil)).ID, id)
	_, err := client.GetIssuer(t, name, nil)
	t.refused(err, 404, "CertificateIssuerNotFound")
	_, err = client.DeleteIssuer(t, name, nil)
	t.refused(err, 404, "CertificateIssuerNotFound")
}

func issuedBy(issuer, name string) azcertificates.CertificatePolicy {
	how := policyOf(issuer, "CN="+name)
	how.SecretProperties = &azcertificates.SecretProperties{ContentType: ptr(pemType)}
	how.X509CertificateProperties.ValidityInMonths = ptr(int32(1))
	how.X509CertificateProperties.SubjectAlternativeNames = &azcertificates.SubjectAlternativeNames{DNSNames: []*string{&name}}
	return how
}

func certificatePrivateAuthority(t *T) {
	client, issuer := t.certificateClient(vaultB), fresh("authority")
	must(client.SetIssuer(t, issuer, azcertificates.SetIssuerParameters{
		Provider: ptr("Vouchsafe"), Credentials: &azcertificates.IssuerCredentials{AccountID: ptr("example.test days:90")},
	}, nil))
	made := t.certified(client, fresh("issued"), issuedBy(issuer, "one.example.test"), nil)
	chain, key := inPEM(*must(t.secretClient(vaultB).GetSecret(t, made.ID.Name(), "", nil)).Value)
	t.equal([]any{len(chain), chain[0].Raw}, []any{2, made.CER})
	t.check(key.(*ecdsa.PrivateKey).PublicKey.Equal(chain[0].PublicKey), "the key of another certificate")
	t.check(chain[1].IsCA && chain[0].CheckSignatureFrom(chain[1]) == nil, "signed by another")
	// What the authority may not certify it does not.
	outside := fresh("outside")
	operation := t.begun(client, outside, issuedBy(issuer, "elsewhere.test"))
	for *operation.Status == "inProgress" {
		operation = must(client.GetCertificateOperation(t, outside, nil)).CertificateOperation
		t.check(t.Err() == nil, "still in progress")
	}
	t.equal(*operation.Status, "failed")
	t.check(operation.Error != nil, "nothing is said of why")
}
