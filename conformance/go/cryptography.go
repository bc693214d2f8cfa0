package main

// What keys do, through azkeys as it is, which computes nothing by itself; what can be checked elsewhere is, by Go's
// own cryptography.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"math/big"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

const signedText = "what is signed"

func init() {
	register(map[string]scenario{
		"key-sign-rsa":  keySignRSA,
		"key-sign-ec":   keySignEC,
		"key-sign-hmac": keySignHMAC,
		"key-sign-with-the-wrong-algorithm-is-refused": keySignWithTheWrongAlgorithmIsRefused,
		"key-encrypt-rsa":                      keyEncryptRSA,
		"key-encrypt-aes-gcm":                  keyEncryptAESGCM,
		"key-encrypt-aes-cbc":                  keyEncryptAESCBC,
		"key-wrap-rsa":                         keyWrapRSA,
		"key-wrap-aes":                         keyWrapAES,
		"key-operations-are-enforced":          keyOperationsAreEnforced,
		"key-disabled-cannot-be-used":          keyDisabledCannotBeUsed,
		"key-outside-its-dates-cannot-be-used": keyOutsideItsDatesCannotBeUsed,
		"key-of-an-older-version-still-opens":  keyOfAnOlderVersionStillOpens,
		"key-local-and-remote-agree":           keyLocalAndRemoteAgree,
		"key-used-without-a-version":           keyUsedWithoutAVersion,
	})
}

func hashOf(algorithm azkeys.SignatureAlgorithm) crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[string(algorithm)[2:5]]
}

func digestOf(algorithm azkeys.SignatureAlgorithm) []byte {
	hash := hashOf(algorithm).New()
	hash.Write([]byte(signedText))
	return hash.Sum(nil)
}

func signing(algorithm azkeys.SignatureAlgorithm) azkeys.SignParameters {
	return azkeys.SignParameters{Algorithm: &algorithm, Value: digestOf(algorithm)}
}

func (t *T) sign(client *azkeys.Client, key *azkeys.JSONWebKey, algorithm azkeys.SignatureAlgorithm) []byte {
	signed := must(client.Sign(t, key.KID.Name(), key.KID.Version(), signing(algorithm), nil))
	t.equal(*signed.KID, *key.KID)
	return signed.Result
}

func publicRSA(key *azkeys.JSONWebKey) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(key.N), E: int(new(big.Int).SetBytes(key.E).Int64())}
}

// verifiedElsewhere fails unless Go takes the signature for one of this public key.
func (t *T) verifiedElsewhere(key *azkeys.JSONWebKey, algorithm azkeys.SignatureAlgorithm, signature []byte) {
	hash, digest := hashOf(algorithm), digestOf(algorithm)
	switch {
	case strings.HasPrefix(string(algorithm), "RS"):
		must(0, rsa.VerifyPKCS1v15(publicRSA(key), hash, digest, signature))
	case strings.HasPrefix(string(algorithm), "PS"):
		options := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		must(0, rsa.VerifyPSS(publicRSA(key), hash, digest, signature, &options))
	case *key.Crv == azkeys.CurveNameP256K:
		// Go has no such curve; the vault's own verification was asked.
	default:
		curves := map[azkeys.CurveName]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
		point := append(append([]byte{4}, key.X...), key.Y...)
		public := must(ecdsa.ParseUncompressedPublicKey(curves[*key.Crv], point))
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		t.check(ecdsa.Verify(public, digest, r, s), "%s does not verify elsewhere", algorithm)
	}
}

func (t *T) signs(key *azkeys.JSONWebKey, algorithm azkeys.SignatureAlgorithm) []byte {
	return t.signsIn(vaultA, key, algorithm)
}

func (t *T) signsIn(vault int, key *azkeys.JSONWebKey, algorithm azkeys.SignatureAlgorithm) []byte {
	client := t.keyClient(vault)
	signature := t.sign(client, key, algorithm)
	verify := func(signature []byte) bool {
		parameters := azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digestOf(algorithm), Signature: signature}
		return *must(client.Verify(t, key.KID.Name(), key.KID.Version(), parameters, nil)).Value
	}
	t.check(verify(signature), "%s does not verify", algorithm)
	wrong := bytes.Clone(signature)
	wrong[0] ^= 1
	t.check(!verify(wrong), "%s of another text verifies", algorithm)
	return signature
}

func keySignRSA(t *T) {
	made := t.create(t.keyClient(vaultA), fresh("sign"), ofRSA(2048)).Key
	for _, algorithm := range []azkeys.SignatureAlgorithm{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.verifiedElsewhere(made, algorithm, t.signs(made, algorithm))
	}
}

func keySignEC(t *T) {
	algorithms := map[azkeys.CurveName]azkeys.SignatureAlgorithm{
		"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K",
	}
	for curve, algorithm := range algorithms {
		made := t.create(t.keyClient(vaultA), fresh("sign"), ofEC(curve)).Key
		t.verifiedElsewhere(made, algorithm, t.signs(made, algorithm))
	}
}

func keySignHMAC(t *T) {
	made := t.create(t.keyClient(vaultA), fresh("sign"), ofOct(256, azkeys.KeyOperationSign, azkeys.KeyOperationVerify)).Key
	for _, algorithm := range []azkeys.SignatureAlgorithm{"HS256", "HS384", "HS512"} {
		t.signs(made, algorithm)
	}
}

func keySignWithTheWrongAlgorithmIsRefused(t *T) {
	client, name := t.keyClient(vaultA), fresh("wrong")
	version := t.create(client, name, p256).Key.KID.Version()
	short := signing("ES384")
	short.Algorithm = ptr(azkeys.SignatureAlgorithmES256)
	for _, wrong := range []azkeys.SignParameters{signing("RS256"), signing("ES384"), short} {
		_, err := client.Sign(t, name, version, wrong, nil)
		t.refused(err, 400, "BadParameter")
	}
}

// sealer is a key of the vault that encrypts or wraps.
type sealer struct {
	t         *T
	client    *azkeys.Client
	name      string
	version   string
	algorithm azkeys.EncryptionAlgorithm
}

func (t *T) sealer(wanted wanted) sealer {
	made := sealer{t: t, client: t.keyClient(vaultA), name: fresh("seal")}
	made.version = t.create(made.client, made.name, wanted).Key.KID.Version()
	return made
}

func (s sealer) with(algorithm azkeys.EncryptionAlgorithm) sealer {
	s.algorithm = algorithm
	return s
}

func (s sealer) of(value []byte) azkeys.KeyOperationParameters {
	return azkeys.KeyOperationParameters{Algorithm: &s.algorithm, Value: value}
}

func (s sealer) encrypt(parameters azkeys.KeyOperationParameters) azkeys.KeyOperationResult {
	return must(s.client.Encrypt(s.t, s.name, s.version, parameters, nil)).KeyOperationResult
}

func (s sealer) decrypt(parameters azkeys.KeyOperationParameters) ([]byte, error) {
	opened, err := s.client.Decrypt(s.t, s.name, s.version, parameters, nil)
	return opened.Result, err
}

func keyEncryptRSA(t *T) {
	key := t.sealer(ofRSA(2048))
	for _, algorithm := range []azkeys.EncryptionAlgorithm{"RSA1_5", "RSA-OAEP", "RSA-OAEP-256"} {
		key := key.with(algorithm)
		sealed := key.encrypt(key.of([]byte(signedText)))
		t.equal(must(key.decrypt(key.of(sealed.Result))), []byte(signedText))
		if algorithm != "RSA1_5" {
			noise := make([]byte, 256)
			must(rand.Read(noise))
			_, err := key.decrypt(key.of(noise))
			t.refused(err, 400, "BadParameter")
		}
	}
}

func keyEncryptAESGCM(t *T) {
	for size, algorithm := range map[int32]azkeys.EncryptionAlgorithm{128: "A128GCM", 192: "A192GCM", 256: "A256GCM"} {
		key := t.sealer(ofOct(size, azkeys.KeyOperationEncrypt, azkeys.KeyOperationDecrypt)).with(algorithm)
		parameters := key.of([]byte(signedText))
		parameters.AdditionalAuthenticatedData = []byte("beside")
		sealed := key.encrypt(parameters)
		t.check(len(sealed.IV) == 12 && len(sealed.AuthenticationTag) == 16, "iv %x, tag %x", sealed.IV, sealed.AuthenticationTag)
		parameters.Value, parameters.IV, parameters.AuthenticationTag = sealed.Result, sealed.IV, sealed.AuthenticationTag
		t.equal(must(key.decrypt(parameters)), []byte(signedText))
		parameters.AdditionalAuthenticatedData = []byte("other")
		_, err := key.decrypt(parameters)
		t.refused(err, 400, "BadParameter")
	}
}

func keyEncryptAESCBC(t *T) {
	for size, prefix := range map[int32]string{128: "A128", 192: "A192", 256: "A256"} {
		key := t.sealer(ofOct(size, azkeys.KeyOperationEncrypt, azkeys.KeyOperationDecrypt))
		for suffix, text := range map[string][]byte{"CBC": bytes.Repeat([]byte{7}, 32), "CBCPAD": []byte(signedText)} {
			key := key.with(azkeys.EncryptionAlgorithm(prefix + suffix))
			parameters := key.of(text)
			parameters.IV = make([]byte, 16)
			must(rand.Read(parameters.IV))
			parameters.Value = key.encrypt(parameters).Result
			t.equal(must(key.decrypt(parameters)), text)
		}
	}
}

func (s sealer) wrap(value []byte) []byte {
	return must(s.client.WrapKey(s.t, s.name, s.version, s.of(value), nil)).Result
}

func (s sealer) unwrap(value []byte) ([]byte, error) {
	opened, err := s.client.UnwrapKey(s.t, s.name, s.version, s.of(value), nil)
	return opened.Result, err
}

func keyWrapRSA(t *T) {
	key, other := t.sealer(ofRSA(2048)), sha256.Sum256([]byte(signedText))
	for _, algorithm := range []azkeys.EncryptionAlgorithm{"RSA1_5", "RSA-OAEP", "RSA-OAEP-256"} {
		key := key.with(algorithm)
		t.equal(must(key.unwrap(key.wrap(other[:]))), other[:])
	}
}

func keyWrapAES(t *T) {
	other := sha256.Sum256([]byte(signedText))
	for size, algorithm := range map[int32]azkeys.EncryptionAlgorithm{128: "A128KW", 192: "A192KW", 256: "A256KW"} {
		key := t.sealer(ofOct(size, azkeys.KeyOperationWrapKey, azkeys.KeyOperationUnwrapKey)).with(algorithm)
		wrapped := key.wrap(other[:])
		t.equal(len(wrapped), 40)
		t.equal(must(key.unwrap(wrapped)), other[:])
		_, err := key.unwrap(make([]byte, 40))
		t.refused(err, 400, "BadParameter")
	}
}

func keyOperationsAreEnforced(t *T) {
	only := ofRSA(2048)
	only.KeyOps = operationsOf(azkeys.KeyOperationEncrypt)
	key := t.sealer(only).with("RSA-OAEP")
	sealed := key.encrypt(key.of([]byte(signedText))).Result
	said := []string{"Forbidden", "KeyOperationForbidden"}
	_, err := key.decrypt(key.of(sealed))
	t.refused(err, 403, said...)
	_, err = key.unwrap(sealed)
	t.refused(err, 403, said...)
	_, err = key.client.WrapKey(t, key.name, key.version, key.of(sealed[:16]), nil)
	t.refused(err, 403, said...)
	_, err = key.client.Sign(t, key.name, key.version, signing("RS256"), nil)
	t.refused(err, 403, said...)
	verifying := azkeys.VerifyParameters{Algorithm: ptr(azkeys.SignatureAlgorithmRS256), Digest: digestOf("RS256"), Signature: sealed}
	_, err = key.client.Verify(t, key.name, key.version, verifying, nil)
	t.refused(err, 403, said...)
}

func keyDisabledCannotBeUsed(t *T) {
	client, name := t.keyClient(vaultA), fresh("disabled")
	key := t.create(client, name, p256).Key
	t.sign(client, key, "ES256")
	for _, enabled := range []bool{false, true} {
		update := azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: &enabled}}
		must(client.UpdateKey(t, name, "", update, nil))
		if !enabled {
			_, err := client.Sign(t, name, key.KID.Version(), signing("ES256"), nil)
			t.refused(err, 403, "Forbidden", "KeyDisabled")
		}
	}
	t.sign(client, key, "ES256")
}

func keyOutsideItsDatesCannotBeUsed(t *T) {
	client := t.keyClient(vaultA)
	for said, dates := range map[string]*azkeys.KeyAttributes{
		"KeyExpired":     {Expires: ptr(daysFromNow(-1))},
		"KeyNotYetValid": {NotBefore: ptr(daysFromNow(1))},
	} {
		name, ec := fresh("dates"), p256
		ec.KeyAttributes = dates
		version := t.create(client, name, ec).Key.KID.Version()
		_, err := client.Sign(t, name, version, signing("ES256"), nil)
		t.refused(err, 403, "Forbidden", said)
	}
}

func keyOfAnOlderVersionStillOpens(t *T) {
	client, name := t.keyClient(vaultA), fresh("older")
	first := t.create(client, name, ofRSA(2048)).Key
	parameters := azkeys.KeyOperationParameters{Algorithm: ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: []byte(signedText)}
	parameters.Value = must(client.Encrypt(t, name, first.KID.Version(), parameters, nil)).Result
	must(client.RotateKey(t, name, nil))
	t.equal(must(client.Decrypt(t, name, first.KID.Version(), parameters, nil)).Result, []byte(signedText))
}

func keyLocalAndRemoteAgree(t *T) {
	client, name := t.keyClient(vaultA), fresh("local")
	made := t.create(client, name, ofRSA(2048)).Key
	public, key := publicRSA(made), sealer{t: t, client: client, name: name, version: made.KID.Version()}
	oaep1 := must(rsa.EncryptOAEP(sha1.New(), rand.Reader, public, []byte(signedText), nil))
	t.equal(must(key.with("RSA-OAEP").decrypt(key.with("RSA-OAEP").of(oaep1))), []byte(signedText))
	oaep256 := must(rsa.EncryptOAEP(sha256.New(), rand.Reader, public, []byte(signedText), nil))
	t.equal(must(key.with("RSA-OAEP-256").decrypt(key.with("RSA-OAEP-256").of(oaep256))), []byte(signedText))
}

func keyUsedWithoutAVersion(t *T) {
	client, name := t.keyClient(vaultA), fresh("newest")
	t.create(client, name, p256)
	second := t.create(client, name, p256)
	signed := must(client.Sign(t, name, "", signing("ES256"), nil))
	t.equal(*signed.KID, *second.Key.KID)
	t.verifiedElsewhere(second.Key, "ES256", signed.Result)
}
