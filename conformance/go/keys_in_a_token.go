package main

// Keys of the HSM kinds in a premium vault: the token computes with them, and they never leave it.

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func init() {
	register(map[string]scenario{
		"key-hsm-create":               keyHSMCreate,
		"key-hsm-sign":                 keyHSMSign,
		"key-hsm-encrypt-and-wrap":     keyHSMEncryptAndWrap,
		"key-hsm-encrypt-and-wrap-aes": keyHSMEncryptAndWrapAES,
		"key-hsm-import":               keyHSMImport,
		"key-hsm-import-wrapped":       keyHSMImportWrapped,
		"key-attestation":              keyAttestation,
		"key-hsm-rotate":               keyHSMRotate,
		"key-hsm-delete-and-purge":     keyHSMDeleteAndPurge,
		"certificate-hsm-key":          certificateHSMKey,
	})
}

var hsmKinds = map[azkeys.KeyType]azkeys.KeyType{
	azkeys.KeyTypeRSA: azkeys.KeyTypeRSAHSM, azkeys.KeyTypeEC: azkeys.KeyTypeECHSM, azkeys.KeyTypeOct: azkeys.KeyTypeOctHSM,
}

// inToken is what is wanted, of the kind that is held in a token.
func inToken(like wanted) wanted {
	like.Kty = ptr(hsmKinds[*like.Kty])
	return like
}

func (t *T) createdInToken(like wanted) *azkeys.JSONWebKey {
	made := t.create(t.keyClient(premium), fresh("hsm"), inToken(like)).Key
	t.equal(*made.Kty, hsmKinds[*like.Kty])
	t.check(made.D == nil && made.P == nil && made.K == nil, "a private part is shown")
	return made
}

func (t *T) signsAsItself(key *azkeys.JSONWebKey) {
	t.verifiedElsewhere(key, "ES256", t.sign(t.keyClient(premium), key, "ES256"))
}

func keyHSMCreate(t *T) {
	for _, size := range []int32{2048, 3072} {
		made := t.createdInToken(ofRSA(size))
		t.equal(len(made.N)*8, int(size))
		t.equal(t.key(t.keyClient(premium), made.KID.Name(), "").Key.N, made.N)
	}
	for curve, field := range map[azkeys.CurveName]int{"P-256": 32, "P-384": 48, "P-521": 66, "P-256K": 32} {
		made := t.createdInToken(ofEC(curve))
		t.equal([]int{len(made.X), len(made.Y)}, []int{field, field})
	}
	for _, size := range []int32{128, 192, 256} {
		t.createdInToken(ofOct(size))
	}
	// A premium vault holds keys in software as well.
	t.equal(*t.create(t.keyClient(premium), fresh("soft"), p256).Key.Kty, azkeys.KeyTypeEC)
}

func keyHSMSign(t *T) {
	made := t.createdInToken(ofRSA(2048))
	for _, algorithm := range []azkeys.SignatureAlgorithm{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.verifiedElsewhere(made, algorithm, t.signsIn(premium, made, algorithm))
	}
	for curve, algorithm := range map[azkeys.CurveName]azkeys.SignatureAlgorithm{
		"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K",
	} {
		made = t.createdInToken(ofEC(curve))
		t.verifiedElsewhere(made, algorithm, t.signsIn(premium, made, algorithm))
	}
}

func (t *T) sealerInToken(like wanted) sealer {
	made := t.createdInToken(like).KID
	return sealer{t: t, client: t.keyClient(premium), name: made.Name(), version: made.Version()}
}

func random(count int) []byte {
	bytes := make([]byte, count)
	must(rand.Read(bytes))
	return bytes
}

func keyHSMEncryptAndWrap(t *T) {
	sealer, other := t.sealerInToken(ofRSA(2048)), random(32)
	for _, algorithm := range []azkeys.EncryptionAlgorithm{"RSA-OAEP", "RSA-OAEP-256"} {
		sealer = sealer.with(algorithm)
		sealed := sealer.encrypt(sealer.of([]byte(signedText)))
		t.equal(must(sealer.decrypt(sealer.of(sealed.Result))), []byte(signedText))
		t.equal(must(sealer.unwrap(sealer.wrap(other))), other)
	}
	_, err := sealer.decrypt(sealer.of(random(256)))
	t.refused(err, 400, "BadParameter")
}

func keyHSMEncryptAndWrapAES(t *T) {
	for size, name := range map[int32]string{128: "A128", 256: "A256"} {
		like := ofOct(size, azkeys.KeyOperationEncrypt, azkeys.KeyOperationDecrypt)
		sealer := t.sealerInToken(like).with(azkeys.EncryptionAlgorithm(name + "GCM"))
		parameters := sealer.of([]byte(signedText))
		parameters.AdditionalAuthenticatedData = []byte("beside")
		sealed := sealer.encrypt(parameters)
		parts := sealer.of(sealed.Result)
		parts.IV, parts.AuthenticationTag = sealed.IV, sealed.AuthenticationTag
		parts.AdditionalAuthenticatedData = []byte("beside")
		t.equal(must(sealer.decrypt(parts)), []byte(signedText))
		parts.AdditionalAuthenticatedData = []byte("other")
		_, err := sealer.decrypt(parts)
		t.refused(err, 400, "BadParameter")
		for suffix, text := range map[string][]byte{"CBC": make([]byte, 32), "CBCPAD": []byte(signedText)} {
			sealer, iv := sealer.with(azkeys.EncryptionAlgorithm(name+suffix)), random(16)
			parameters := sealer.of(text)
			parameters.IV = iv
			parts := sealer.of(sealer.encrypt(parameters).Result)
			parts.IV = iv
			t.equal(must(sealer.decrypt(parts)), text)
		}
		like = ofOct(size, azkeys.KeyOperationWrapKey, azkeys.KeyOperationUnwrapKey)
		wrapper, other := t.sealerInToken(like).with(azkeys.EncryptionAlgorithm(name+"KW")), random(32)
		wrapped := wrapper.wrap(other)
		t.equal(len(wrapped), 40)
		t.equal(must(wrapper.unwrap(wrapped)), other)
		_, err = wrapper.unwrap(make([]byte, 40))
		t.refused(err, 400, "BadParameter")
	}
}

func keyHSMImport(t *T) {
	own := must(ecParts(elliptic.P256()))
	parameters := azkeys.ImportKeyParameters{Key: own, HSM: ptr(true)}
	imported := must(t.keyClient(premium).ImportKey(t, fresh("imported"), parameters, nil)).Key
	t.equal([]any{*imported.Kty, imported.X}, []any{azkeys.KeyTypeECHSM, own.X})
	t.signsAsItself(imported)
	_, err := t.keyClient(vaultA).ImportKey(t, fresh("imported"), parameters, nil)
	t.refused(err, 400, "BadParameter")
}

func keyHSMImportWrapped(t *T) {
	blob, name := must(os.ReadFile(world.TransferBlob)), fresh("wrapped")
	block, _ := pem.Decode(must(os.ReadFile(world.TransferPublicPEM)))
	own := must(x509.ParsePKIXPublicKey(block.Bytes)).(*rsa.PublicKey)
	wrapped := azkeys.JSONWebKey{
		Kty: ptr(azkeys.KeyTypeRSAHSM), T: blob, KeyOps: operationsOf(azkeys.KeyOperationSign, azkeys.KeyOperationVerify),
	}
	parameters := azkeys.ImportKeyParameters{Key: &wrapped}
	imported := must(t.keyClient(premium).ImportKey(t, name, parameters, nil)).Key
	t.equal([]any{*imported.Kty, imported.N}, []any{azkeys.KeyTypeRSAHSM, own.N.Bytes()})
	t.verifiedElsewhere(imported, "PS256", t.signsIn(premium, imported, "PS256"))
	_, err := t.keyClient(vaultA).ImportKey(t, name, parameters, nil)
	t.refused(err, 400, "BadParameter")
}

// stated is what a statement about half of a key says.
type stated struct {
	Kid        string
	Attributes struct {
		Class       string `json:"CKA_CLASS"`
		Extractable bool   `json:"CKA_EXTRACTABLE"`
		Local       bool   `json:"CKA_LOCAL"`
	}
}

func said(statement []byte) (read stated) {
	must(0, json.Unmarshal(base64url(strings.Split(string(statement), ".")[1]), &read))
	return read
}

func keyAttestation(t *T) {
	client, key := t.keyClient(premium), t.createdInToken(ofRSA(2048))
	attested := must(client.GetKeyAttestation(t, key.KID.Name(), key.KID.Version(), nil))
	t.equal([]any{*attested.Key.KID, attested.Key.N}, []any{*key.KID, key.N})
	attestation := attested.Attributes.Attestation
	file, _ := pem.Decode(attestation.CertificatePEMFile)
	signer := must(x509.ParseCertificate(file.Bytes)).PublicKey.(*rsa.PublicKey)
	for kind, statement := range map[string][]byte{
		"CKO_PRIVATE_KEY": attestation.PrivateKeyAttestation, "CKO_PUBLIC_KEY": attestation.PublicKeyAttestation,
	} {
		end := strings.LastIndexByte(string(statement), '.')
		digest, signature := sha256.Sum256(statement[:end]), base64url(string(statement[end+1:]))
		must(0, rsa.VerifyPKCS1v15(signer, crypto.SHA256, digest[:], signature))
		said := said(statement)
		found := []any{said.Kid, said.Attributes.Class, said.Attributes.Local}
		t.equal(found, []any{string(*key.KID), kind, true})
	}
	parameters := azkeys.ImportKeyParameters{Key: must(ecParts(elliptic.P256())), HSM: ptr(true)}
	name := must(client.ImportKey(t, fresh("imported"), parameters, nil)).Key.KID.Name()
	attributes := said(must(client.GetKeyAttestation(t, name, "", nil)).Attributes.Attestation.PrivateKeyAttestation).Attributes
	t.equal([]bool{attributes.Extractable, attributes.Local}, []bool{false, false})
	soft := t.create(client, fresh("soft"), p256).Key.KID.Name()
	_, err := client.GetKeyAttestation(t, soft, "", nil)
	t.refused(err, 400, "BadParameter")
}

func keyHSMRotate(t *T) {
	client, first := t.keyClient(premium), t.createdInToken(p256)
	second := must(client.RotateKey(t, first.KID.Name(), nil)).Key
	t.equal(*second.Kty, azkeys.KeyTypeECHSM)
	t.check(string(second.X) != string(first.X), "the same key")
	t.signsAsItself(first)
	t.signsAsItself(second)
	t.equal(len(t.keyVersionsOf(client, first.KID.Name())), 2)
}

func keyHSMDeleteAndPurge(t *T) {
	client, key := t.keyClient(premium), t.createdInToken(p256)
	name := key.KID.Name()
	backup := must(client.BackupKey(t, name, nil)).Value
	must(client.DeleteKey(t, name, nil))
	_, err := client.Sign(t, name, key.KID.Version(), signing("ES256"), nil)
	t.refused(err, 404, "KeyNotFound")
	must(client.RecoverDeletedKey(t, name, nil))
	t.signsAsItself(key)
	must(client.DeleteKey(t, name, nil))
	must(client.PurgeDeletedKey(t, name, nil))
	// The backup was a reference to the key in the token, which is gone.
	_, err = client.RestoreKey(t, azkeys.RestoreKeyParameters{KeyBackup: backup}, nil)
	t.refused(err, 400, "BadParameter")
	t.keyGone(client, name, "")
}

func certificateHSMKey(t *T) {
	how := pemPolicy()
	how.KeyProperties.KeyType, how.KeyProperties.Exportable = ptr(azcertificates.KeyTypeECHSM), ptr(false)
	made := t.certified(t.certificateClient(premium), fresh("token"), how, nil)
	text := *must(t.secretClient(premium).GetSecret(t, made.ID.Name(), "", nil)).Value
	certificates, private := inPEM(text)
	t.check(private == nil, "a private key is given out")
	t.equal(certificates[0].Raw, made.CER)
	key := t.key(t.keyClient(premium), made.ID.Name(), "").Key
	t.equal([]any{string(*key.KID), *key.Kty}, []any{string(*made.KID), azkeys.KeyTypeECHSM})
	t.signsAsItself(key)
	parameters := azcertificates.CreateCertificateParameters{CertificatePolicy: &how}
	_, err := t.certificateClient(vaultA).CreateCertificate(t, fresh("token"), parameters, nil)
	t.refused(err, 400, "BadParameter")
}
