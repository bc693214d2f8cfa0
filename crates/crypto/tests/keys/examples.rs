//! Published examples for what Wycheproof has no vectors of: Cipher Block Chaining without padding (NIST SP 800-38A
//! appendix F.2), and Key Wrap as its RFC shows it (RFC 3394 §4).

use data_encoding::HEXLOWER_PERMISSIVE;
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::keys::{CiphertextParts, EncryptionAlgorithm, KeySpec};

use crate::octets;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(text.replace(' ', "").as_bytes()).unwrap()
}

#[test]
fn the_cbc_examples_of_sp_800_38a_hold() {
    let iv = hex("000102030405060708090a0b0c0d0e0f");
    let plaintext = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 \
                         30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
    for (algorithm, key, ciphertext) in [
        (
            EncryptionAlgorithm::A128Cbc,
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2 \
             73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            EncryptionAlgorithm::A192Cbc,
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a \
             571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
        ),
        (
            EncryptionAlgorithm::A256Cbc,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d \
             39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        let key = octets(&hex(key)).unwrap();
        let sealed = key.encrypt(algorithm, &plaintext, Some(&iv), None).unwrap();
        assert_eq!(sealed.value, hex(ciphertext), "{algorithm:?}");
        assert_eq!(sealed.iv.as_ref(), Some(&iv));
        let opened = key.decrypt(algorithm, &sealed.parts()).ok().unwrap();
        assert_eq!(opened.expose(Reason::Test), plaintext);
    }
}

#[test]
fn the_examples_of_rfc_3394_hold() {
    let data = hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    let keys = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    for (algorithm, key_bytes, data_bytes, wrapped) in [
        (EncryptionAlgorithm::A128Kw, 16, 16, "1fa68b0a8112b447 aef34bd8fb5a7b82 9d3e862371d2cfe5"),
        (EncryptionAlgorithm::A192Kw, 24, 16, "96778b25ae6ca435 f92b5b97c050aed2 468ab8a17ad84e5d"),
        (EncryptionAlgorithm::A256Kw, 32, 16, "64e8c3f9ce0f5ba2 63e9777905818a2a 93c8191e7d6e8ae7"),
        (
            EncryptionAlgorithm::A192Kw,
            24,
            24,
            "031d33264e15d332 68f24ec260743edc e1c6c7ddee725a93 6ba814915c6762d2",
        ),
        (
            EncryptionAlgorithm::A256Kw,
            32,
            24,
            "a8f9bc1612c68b3f f6e6f4fbe30e71e4 769c8b80a32cb895 8cd5d17d6b254da1",
        ),
        (
            EncryptionAlgorithm::A256Kw,
            32,
            32,
            "28c9f404c4b810f4 cbccb35cfb87f826 3f5786e2d80ed326 cbc7f0e71a99f43b fb988b9b7a02dd21",
        ),
    ] {
        let key = octets(&keys[..key_bytes]).unwrap();
        let sealed = key.encrypt(algorithm, &data[..data_bytes], None, None).unwrap();
        assert_eq!(sealed.value, hex(wrapped), "{algorithm:?} {data_bytes}");
        let opened = key.decrypt(algorithm, &CiphertextParts::of(&sealed.value)).ok().unwrap();
        assert_eq!(opened.expose(Reason::Test), &data[..data_bytes]);
    }
}

/// AES-CMAC of one block is that block, exclusive-or a subkey, encrypted (NIST SP 800-38B §6.2); the subkey is the
/// encrypted zero block, doubled.
#[test]
fn the_check_value_of_a_symmetric_key_is_the_cmac_of_a_zero_block() {
    for (spec, algorithm) in [
        (KeySpec::Oct128, EncryptionAlgorithm::A128Cbc),
        (KeySpec::Oct192, EncryptionAlgorithm::A192Cbc),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Cbc),
    ] {
        let key = crate::key(spec);
        let block = |input: u128| {
            let sealed = key.encrypt(algorithm, &input.to_be_bytes(), Some(&[0; 16]), None).unwrap();
            u128::from_be_bytes(sealed.value.try_into().unwrap())
        };
        let zero = block(0);
        let subkey = zero << 1 ^ if zero >> 127 == 1 { 0x87 } else { 0 };
        assert_eq!(key.check_value(), block(subkey).to_be_bytes()[..8]);
    }
}
