//! Opening a PKCS#12 file.

use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode, Encode, Reader, SliceReader};
use zeroize::Zeroizing;

use super::format::{
    Bag, CERTIFICATE_BAG, CertificateBag, ContentInfo, DATA, ENCRYPTED_DATA, EncryptedData, EncryptedKey,
    KEY_BAG, Pfx, SHROUDED_KEY_BAG, X509_CERTIFICATE,
};
use super::scheme::{Budget, Password, decrypt, mac_is_right};
use super::{PFX_BYTES_MAX, PFX_PARTS_MAX};
use crate::pki::ReadRefused;
use crate::pki::bundle::{Bundle, BundleRefused, ChainOrder};
use crate::secret::{SecretBytes, SecretString};

/// Opens a PKCS#12 file that holds one private key and its certificates.
pub fn read_pfx(file: &[u8], password: &SecretString, order: ChainOrder) -> Result<Bundle, BundleRefused> {
    if file.len() > PFX_BYTES_MAX {
        return Err(ReadRefused::TooLarge("the PKCS#12 file").into());
    }
    let pfx = Pfx::from_der(file).map_err(malformed)?;
    if pfx.version != 3 {
        return Err(ReadRefused::Unsupported("this version of PKCS#12").into());
    }
    let safes = data(&pfx.safe)?;
    let mut budget = Budget::new();
    let mut password = Password::new(password)?;
    if let Some(mac) = &pfx.mac {
        let mut right = mac_is_right(mac, safes, &password, &mut budget)?;
        if let Some(nothing) = password.or_nothing().filter(|_| !right) {
            right = mac_is_right(mac, safes, &nothing, &mut budget)?;
            password = nothing;
        }
        if !right {
            return Err(BundleRefused::Password);
        }
    }
    let mut found = Found { password, budget, parts: 0, key: None, certificates: Vec::new() };
    for safe in elements(safes)? {
        found.take_safe(&ContentInfo::from_der(&safe).map_err(malformed)?)?;
    }
    Bundle::of(found.key.ok_or(BundleRefused::NoKey)?, found.certificates, order)
}

struct Found {
    password: Password,
    budget: Budget,
    parts: usize,
    key: Option<SecretBytes>,
    certificates: Vec<Vec<u8>>,
}

impl Found {
    fn count(&mut self) -> Result<(), BundleRefused> {
        self.parts += 1;
        if self.parts > PFX_PARTS_MAX {
            return Err(ReadRefused::TooMany("parts of a PKCS#12 file").into());
        }
        Ok(())
    }

    fn take_safe(&mut self, safe: &ContentInfo<'_>) -> Result<(), BundleRefused> {
        self.count()?;
        match safe.kind {
            DATA => self.take_bags(data(safe)?),
            ENCRYPTED_DATA => {
                let encrypted = safe.content.decode_as::<EncryptedData<'_>>().map_err(malformed)?;
                let content = encrypted.content;
                let bytes =
                    decrypt(&content.algorithm, content.bytes.as_bytes(), &self.password, &mut self.budget)?;
                self.take_bags(&bytes)
            }
            _ => Err(ReadRefused::Unsupported("a PKCS#12 file for a public key").into()),
        }
    }

    fn take_bags(&mut self, bags: &[u8]) -> Result<(), BundleRefused> {
        for bag in elements(bags)? {
            self.count()?;
            let bag = Bag::from_der(&bag).map_err(malformed)?;
            match bag.kind {
                CERTIFICATE_BAG => {
                    let bag = bag.value.decode_as::<CertificateBag<'_>>().map_err(malformed)?;
                    if bag.kind == X509_CERTIFICATE {
                        self.certificates.push(bag.bytes.as_bytes().to_vec());
                    }
                }
                KEY_BAG => {
                    let key = bag.value.to_der().map_err(malformed)?;
                    self.take_key(SecretBytes::new(key))?;
                }
                SHROUDED_KEY_BAG => {
                    let bag = bag.value.decode_as::<EncryptedKey<'_>>().map_err(malformed)?;
                    let key =
                        decrypt(&bag.algorithm, bag.bytes.as_bytes(), &self.password, &mut self.budget)?;
                    self.take_key(SecretBytes::new(key.to_vec()))?;
                }
                // Revocation lists and secrets of other software are none of ours.
                _ => {}
            }
        }
        Ok(())
    }

    fn take_key(&mut self, key: SecretBytes) -> Result<(), BundleRefused> {
        match self.key.replace(key) {
            Some(_) => Err(BundleRefused::ManyKeys),
            None => Ok(()),
        }
    }
}

/// The bytes of a content that is plain data.
fn data<'a>(content: &ContentInfo<'a>) -> Result<&'a [u8], BundleRefused> {
    if content.kind != DATA {
        return Err(ReadRefused::Unsupported("a PKCS#12 file that is signed").into());
    }
    let bytes = content.content.decode_as::<&OctetStringRef>().map_err(malformed)?;
    Ok(bytes.as_bytes())
}

/// The elements of a SEQUENCE, each in DER. They may hold a key, so the copies wipe themselves.
fn elements(sequence: &[u8]) -> Result<Vec<Zeroizing<Vec<u8>>>, BundleRefused> {
    let whole = AnyRef::from_der(sequence).map_err(malformed)?;
    if der::Tagged::tag(&whole) != der::Tag::Sequence {
        return Err(ReadRefused::Malformed("a PKCS#12 file").into());
    }
    let mut reader = SliceReader::new(whole.value()).map_err(malformed)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == PFX_PARTS_MAX {
            return Err(ReadRefused::TooMany("parts of a PKCS#12 file").into());
        }
        found.push(Zeroizing::new(reader.tlv_bytes().map_err(malformed)?.to_vec()));
    }
    Ok(found)
}

fn malformed(_: der::Error) -> BundleRefused {
    ReadRefused::Malformed("a PKCS#12 file").into()
}
