//! Distinguished names as text (RFC 4514) and as X.501 writes them (RFC 5280 §4.1.2.4).
//!
//! `x509-cert` reads such text too, but neither the spaces after a comma nor the quotes that Azure's documentation uses,
//! so the text is taken apart here and only the types are its own. The text names the last element of the sequence
//! first, as RFC 4514 §2.1 and Windows have it. Attribute types are the ones people write, or an object identifier.

use std::fmt::{self, Write};

use der::asn1::{Any, Ia5StringRef, ObjectIdentifier, PrintableStringRef};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RelativeDistinguishedName};

use super::{NAME_ATTRIBUTES_MAX, NAME_BYTES_MAX};

/// The name of a subject or an issuer.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct DistinguishedName(Name);

/// Why a text is no distinguished name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameRefused {
    /// Too long, or too many attributes.
    #[error("a distinguished name has at most {NAME_BYTES_MAX} bytes and {NAME_ATTRIBUTES_MAX} attributes")]
    TooLarge,
    /// The text does not follow RFC 4514.
    #[error("this is not a distinguished name such as `CN=contoso.com, O=Contoso`")]
    Malformed,
    /// An attribute type has no meaning here.
    #[error(
        "a distinguished name has CN, O, OU, C, ST, L, STREET, DC, UID, E, SERIALNUMBER, or an object identifier"
    )]
    UnknownAttribute,
    /// A value is empty, too long or has characters that its attribute cannot have.
    #[error("an attribute of the distinguished name has a value that it cannot have")]
    BadValue,
}

impl DistinguishedName {
    /// Reads text such as `CN=contoso.com, O="Contoso, Ltd."`; the empty text is the empty name.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameRefused::TooLarge);
        }
        let mut rest = Cursor { bytes: text.as_bytes() };
        let mut names: Vec<Vec<AttributeTypeAndValue>> = Vec::new();
        let mut attributes = 0;
        let mut joined = false;
        rest.skip_spaces();
        while !rest.bytes.is_empty() || !names.is_empty() {
            attributes += 1;
            if attributes > NAME_ATTRIBUTES_MAX {
                return Err(NameRefused::TooLarge);
            }
            let attribute = rest.attribute()?;
            match names.last_mut() {
                Some(last) if joined => last.push(attribute),
                _ => names.push(vec![attribute]),
            }
            match rest.next() {
                None => break,
                Some(separator) => joined = separator == b'+',
            }
        }
        names.reverse();
        let sequence = names
            .into_iter()
            .map(|set| RelativeDistinguishedName::try_from(set).map_err(|_| NameRefused::Malformed))
            .collect::<Result<Vec<_>, _>>()?;
        // The only public way from a sequence to a `Name` is its encoding.
        let encoded = sequence.to_der().map_err(|_| NameRefused::Malformed)?;
        Name::from_der(&encoded).map(Self).map_err(|_| NameRefused::Malformed)
    }

    /// The name in DER.
    pub fn to_der(&self) -> Vec<u8> {
        self.0.to_der().unwrap_or_default()
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first common name, if it is text.
    pub fn common_name(&self) -> Option<String> {
        let attribute = self.0.iter().find(|attribute| attribute.oid == COMMON_NAME)?;
        text_of(&attribute.value).map(str::to_owned)
    }

    /// Common names and mail addresses, each with whether it is the latter; `None` if one of them is not readable text.
    pub(super) fn identifying_values(&self) -> Option<Vec<(bool, String)>> {
        let attributes = self.0.iter().filter(|one| one.oid == COMMON_NAME || one.oid == MAIL_ADDRESS);
        attributes.map(|one| Some((one.oid == MAIL_ADDRESS, text_of(&one.value)?.to_owned()))).collect()
    }

    pub(super) fn as_x509(&self) -> &Name {
        &self.0
    }
}

impl From<Name> for DistinguishedName {
    fn from(name: Name) -> Self {
        Self(name)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<_> = self.0.iter_rdn().collect();
        for (place, set) in sets.into_iter().rev().enumerate() {
            for (inner, attribute) in set.iter().enumerate() {
                match (place, inner) {
                    (0, 0) => {}
                    (_, 0) => out.write_str(", ")?,
                    _ => out.write_str("+")?,
                }
                write_attribute(attribute, out)?;
            }
        }
        Ok(())
    }
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const MAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// Names of attribute types, their identifier, how the value is written, and its longest length (RFC 5280 appendix A).
/// The first name for an identifier is the one that is printed.
const ATTRIBUTES: [(&str, &str, Tag, usize); 25] = [
    ("CN", "2.5.4.3", Tag::Utf8String, 64),
    ("C", "2.5.4.6", Tag::PrintableString, 2),
    ("ST", "2.5.4.8", Tag::Utf8String, 128),
    ("S", "2.5.4.8", Tag::Utf8String, 128),
    ("L", "2.5.4.7", Tag::Utf8String, 128),
    ("O", "2.5.4.10", Tag::Utf8String, 64),
    ("OU", "2.5.4.11", Tag::Utf8String, 64),
    ("STREET", "2.5.4.9", Tag::Utf8String, 128),
    ("POSTALCODE", "2.5.4.17", Tag::Utf8String, 40),
    ("DC", "0.9.2342.19200300.100.1.25", Tag::Ia5String, 255),
    ("UID", "0.9.2342.19200300.100.1.1", Tag::Utf8String, 256),
    ("E", "1.2.840.113549.1.9.1", Tag::Ia5String, 255),
    ("EMAIL", "1.2.840.113549.1.9.1", Tag::Ia5String, 255),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1", Tag::Ia5String, 255),
    ("SERIALNUMBER", "2.5.4.5", Tag::PrintableString, 64),
    ("T", "2.5.4.12", Tag::Utf8String, 64),
    ("TITLE", "2.5.4.12", Tag::Utf8String, 64),
    ("SN", "2.5.4.4", Tag::Utf8String, 64),
    ("SURNAME", "2.5.4.4", Tag::Utf8String, 64),
    ("G", "2.5.4.42", Tag::Utf8String, 64),
    ("GN", "2.5.4.42", Tag::Utf8String, 64),
    ("GIVENNAME", "2.5.4.42", Tag::Utf8String, 64),
    ("I", "2.5.4.43", Tag::Utf8String, 64),
    ("INITIALS", "2.5.4.43", Tag::Utf8String, 64),
    ("DNQUALIFIER", "2.5.4.46", Tag::PrintableString, 64),
];

/// What is left of the text.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn skip_spaces(&mut self) {
        self.bytes = self.bytes.trim_ascii_start();
    }

    /// `type=value`, up to and without the separator after it.
    fn attribute(&mut self) -> Result<AttributeTypeAndValue, NameRefused> {
        let end = self.bytes.iter().position(|byte| *byte == b'=').ok_or(NameRefused::Malformed)?;
        let (name, rest) = self.bytes.split_at_checked(end).ok_or(NameRefused::Malformed)?;
        let name = std::str::from_utf8(name.trim_ascii()).map_err(|_| NameRefused::Malformed)?;
        self.bytes = rest.get(1..).ok_or(NameRefused::Malformed)?.trim_ascii_start();
        let known =
            ATTRIBUTES.iter().find(|(known, oid, ..)| known.eq_ignore_ascii_case(name) || *oid == name);
        let (oid, tag, longest) = match known {
            Some((_, oid, tag, longest)) => (*oid, *tag, *longest),
            None => (name, Tag::Utf8String, 255),
        };
        let oid = ObjectIdentifier::new(oid).map_err(|_| NameRefused::UnknownAttribute)?;
        let value = match self.bytes.first() {
            Some(b'#') => self.encoded_value()?,
            Some(b'"') => text_value(&self.quoted_value()?, tag, longest)?,
            _ => text_value(&self.plain_value()?, tag, longest)?,
        };
        Ok(AttributeTypeAndValue { oid, value })
    }

    /// `#` and the value's DER in hexadecimal.
    fn encoded_value(&mut self) -> Result<Any, NameRefused> {
        let end = self.bytes.iter().position(|byte| is_separator(*byte)).unwrap_or(self.bytes.len());
        let (digits, rest) = self.bytes.split_at_checked(end).ok_or(NameRefused::Malformed)?;
        self.bytes = rest;
        let digits = digits.trim_ascii().get(1..).ok_or(NameRefused::Malformed)?;
        let der = data_encoding::HEXLOWER_PERMISSIVE.decode(digits).map_err(|_| NameRefused::Malformed)?;
        Any::from_der(&der).map_err(|_| NameRefused::BadValue)
    }

    /// A value in double quotes, as RFC 2253 wrote it and as Windows still does; `""` and `\"` are a quote.
    fn quoted_value(&mut self) -> Result<Vec<u8>, NameRefused> {
        self.next();
        let mut value = Vec::new();
        loop {
            match self.next().ok_or(NameRefused::Malformed)? {
                b'"' if self.bytes.first() == Some(&b'"') => value.extend(self.next()),
                b'"' => break,
                b'\\' => value.push(self.escaped()?),
                byte => value.push(byte),
            }
        }
        self.skip_spaces();
        match self.bytes.first() {
            Some(byte) if !is_separator(*byte) => Err(NameRefused::Malformed),
            _ => Ok(value),
        }
    }

    fn plain_value(&mut self) -> Result<Vec<u8>, NameRefused> {
        let mut value = Vec::new();
        let mut significant = 0;
        while let Some(byte) = self.bytes.first().copied() {
            match byte {
                _ if is_separator(byte) => break,
                b'"' | b'<' | b'>' => return Err(NameRefused::Malformed),
                b'\\' => {
                    self.next();
                    value.push(self.escaped()?);
                    significant = value.len();
                }
                _ => {
                    self.next();
                    value.push(byte);
                    if byte != b' ' {
                        significant = value.len();
                    }
                }
            }
        }
        value.truncate(significant);
        Ok(value)
    }

    /// What follows a backslash: a special character or two hexadecimal digits.
    fn escaped(&mut self) -> Result<u8, NameRefused> {
        let first = self.next().ok_or(NameRefused::Malformed)?;
        if matches!(first, b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\') {
            return Ok(first);
        }
        let second = self.next().ok_or(NameRefused::Malformed)?;
        let byte = data_encoding::HEXLOWER_PERMISSIVE.decode(&[first, second]);
        byte.ok().and_then(|byte| byte.first().copied()).ok_or(NameRefused::Malformed)
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'+')
}

fn text_value(bytes: &[u8], tag: Tag, longest: usize) -> Result<Any, NameRefused> {
    let text = std::str::from_utf8(bytes).map_err(|_| NameRefused::BadValue)?;
    let count = text.chars().count();
    if count == 0 || count > longest {
        return Err(NameRefused::BadValue);
    }
    match tag {
        Tag::PrintableString => PrintableStringRef::new(text).map(Any::from),
        Tag::Ia5String => Ia5StringRef::new(text).map(Any::from),
        _ => Any::new(Tag::Utf8String, text.as_bytes()),
    }
    .map_err(|_| NameRefused::BadValue)
}

/// The text of a value, for the encodings whose bytes are text as they are.
fn text_of(value: &Any) -> Option<&str> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => std::str::from_utf8(value.value()).ok(),
        _ => None,
    }
}

fn write_attribute(attribute: &AttributeTypeAndValue, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let oid = attribute.oid.to_string();
    let known = ATTRIBUTES.iter().find(|(_, known, ..)| *known == oid);
    out.write_str(known.map_or(oid.as_str(), |(name, ..)| name))?;
    let Some(text) = text_of(&attribute.value).filter(|_| known.is_some()) else {
        let der = attribute.value.to_der().map_err(|_| fmt::Error)?;
        return write!(out, "=#{}", data_encoding::HEXLOWER.encode(&der));
    };
    out.write_str("=")?;
    let last = text.chars().count().saturating_sub(1);
    for (place, character) in text.chars().enumerate() {
        match character {
            '#' if place == 0 => out.write_str("\\#")?,
            ' ' if place == 0 || place == last => out.write_str("\\ ")?,
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(out, "\\{character}")?,
            '\0'..='\x1f' | '\x7f' => write!(out, "\\{:02x}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    Ok(())
}
