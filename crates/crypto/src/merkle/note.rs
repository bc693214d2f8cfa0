//! Checkpoints: what a log says of itself, signed (C2SP `tlog-checkpoint` and `signed-note`, with Ed25519).
//!
//! The text of a checkpoint is three lines: the log's origin, the size in decimal, the root in base64. We write no
//! extension lines and read none, so that nothing is signed that the reader does not see. Signatures of other keys,
//! such as witnesses', may follow; a verifier looks only for its own.

use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use super::Hash;
use crate::digest::sha256;
use crate::secret::{Reason, SecretBytes};

/// The longest note that is looked at.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// The signature type of Ed25519 in `signed-note`.
const ED25519: u8 = 1;

/// The size and root of a log at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// What identifies the log: one line of text.
    pub origin: String,
    /// How many entries the log has.
    pub size: u64,
    /// The root of the tree over the entries.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root, None) = (lines.next()?, lines.next()?, lines.next()?, lines.next()) else {
            return None;
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: BASE64.decode(root.as_bytes()).ok()?.try_into().ok()?,
        };
        // What would be written differently - `007`, `+7` - is not what was signed by us.
        (is_origin(origin) && checkpoint.text() == text).then_some(checkpoint)
    }
}

fn is_origin(origin: &str) -> bool {
    !origin.is_empty() && !origin.chars().any(char::is_control)
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// A key's id: it only tells keys apart, and is short for that reason.
fn key_id(name: &str, public_key: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[ED25519], public_key].concat());
    [a, b, c, d]
}

fn verifier_key(name: &str, public_key: &[u8]) -> String {
    let id = HEXLOWER.encode(&key_id(name, public_key));
    format!("{name}+{id}+{}", BASE64.encode(&[&[ED25519], public_key].concat()))
}

/// Signs checkpoints. It cannot be printed:
///
/// ```compile_fail,E0277
/// fn show(signer: vouchsafe_crypto::merkle::NoteSigner) {
///     println!("{signer:?}");
/// }
/// ```
pub struct NoteSigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// Takes a name without spaces and `+`, and a seed of 32 bytes; `None` for anything else.
    pub fn new(name: &str, seed: &SecretBytes) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose(Reason::Cipher)).ok()?;
        is_key_name(name).then(|| Self { name: name.to_owned(), pair })
    }

    /// Signs a checkpoint.
    ///
    /// # Panics
    ///
    /// If the origin is not one line of text: what was signed would then say something else.
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        assert!(is_origin(&checkpoint.origin), "the origin of a log is one line of text");
        let text = checkpoint.text();
        let signature = self.pair.sign(text.as_bytes());
        let id = key_id(&self.name, self.pair.public_key().as_ref());
        let signature = BASE64.encode(&[&id, signature.as_ref()].concat());
        format!("{text}\n\u{2014} {} {signature}\n", self.name)
    }

    /// The text from which [`NoteVerifier::parse`] makes a verifier.
    pub fn vkey(&self) -> String {
        verifier_key(&self.name, self.pair.public_key().as_ref())
    }
}

/// Verifies checkpoints that one key signed.
pub struct NoteVerifier {
    name: String,
    id: [u8; 4],
    key: ParsedPublicKey,
}

impl NoteVerifier {
    /// Reads `name+id+key`, as [`NoteSigner::vkey`] writes it.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyRefused> {
        let (name, rest) = vkey.trim_ascii().split_once('+').ok_or(VerifierKeyRefused)?;
        let (_, key) = rest.split_once('+').ok_or(VerifierKeyRefused)?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| VerifierKeyRefused)?;
        let Some((&ED25519, public_key)) = key.split_first() else { return Err(VerifierKeyRefused) };
        if !is_key_name(name) || verifier_key(name, public_key) != vkey.trim_ascii() {
            return Err(VerifierKeyRefused);
        }
        let key = ParsedPublicKey::new(&signature::ED25519, public_key).map_err(|_| VerifierKeyRefused)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, public_key), key })
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Verifies a signed checkpoint.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteRefused> {
        Checkpoint::parse(self.open_text(note)?).ok_or(NoteRefused::Checkpoint)
    }

    /// Verifies any signed note and gives its text back.
    fn open_text<'n>(&self, note: &'n str) -> Result<&'n str, NoteRefused> {
        if note.len() > NOTE_BYTES_MAX || note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteRefused::Malformed);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteRefused::Malformed)?;
        let text = note.get(..text.len() + 1).ok_or(NoteRefused::Malformed)?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteRefused::Malformed)?;
        let mut verified = false;
        for line in signatures.split('\n') {
            let line = line.strip_prefix("\u{2014} ").ok_or(NoteRefused::Malformed)?;
            let (name, signature) = line.split_once(' ').ok_or(NoteRefused::Malformed)?;
            let signature = BASE64.decode(signature.as_bytes()).map_err(|_| NoteRefused::Malformed)?;
            let (id, signature) = signature.split_first_chunk().ok_or(NoteRefused::Malformed)?;
            if !is_key_name(name) {
                return Err(NoteRefused::Malformed);
            }
            if name == self.name && *id == self.id {
                self.key.verify_sig(text.as_bytes(), signature).map_err(|_| NoteRefused::Signature)?;
                verified = true;
            }
        }
        if verified { Ok(text) } else { Err(NoteRefused::Unsigned) }
    }
}

/// The text is not a verifier key of this form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is not an Ed25519 verifier key in the form `name+id+key`")]
pub struct VerifierKeyRefused;

/// Why a checkpoint was not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoteRefused {
    /// It is not a signed note.
    #[error("this is not a signed note")]
    Malformed,
    /// The key did not sign it.
    #[error("the checkpoint is not signed by the expected key")]
    Unsigned,
    /// A signature in the key's name does not match.
    #[error("the signature of the checkpoint does not match")]
    Signature,
    /// The key signed something that is not a checkpoint.
    #[error("the signed text is not a checkpoint")]
    Checkpoint,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(name: &str, byte: u8) -> NoteSigner {
        NoteSigner::new(name, &SecretBytes::new(vec![byte; 32])).expect("32 bytes and a name")
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "vouchsafe.example/audit".to_owned(), size: 20_852_163, root: [7; 32] }
    }

    /// The example of the package `golang.org/x/mod/sumdb/note`.
    #[test]
    fn the_note_of_the_reference_implementation_opens() {
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let verifier = NoteVerifier::parse(vkey).expect("a verifier key");
        let note = format!("{text}\n\u{2014} PeterNeumann {signature}\n");
        assert_eq!(verifier.open_text(&note), Ok(text));
        assert_eq!(verifier.open(&note), Err(NoteRefused::Checkpoint));
        assert_eq!(verifier.open_text(&note.replace("answer", "anwser")), Err(NoteRefused::Signature));
    }

    #[test]
    fn a_signed_checkpoint_opens_with_its_own_key_only() {
        let signer = signer("vouchsafe.example/audit", 1);
        let note = signer.sign(&checkpoint());
        let lines: Vec<&str> = note.lines().collect();
        let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        assert_eq!(lines[..4], ["vouchsafe.example/audit", "20852163", root, ""]);
        let verifier = NoteVerifier::parse(&format!("{}\n", signer.vkey())).expect("a verifier key");
        assert_eq!(verifier.name(), "vouchsafe.example/audit");
        assert_eq!(verifier.open(&note), Ok(checkpoint()));
        for (name, byte) in [("vouchsafe.example/audit", 2), ("vouchsafe.example/other", 1)] {
            let other = NoteVerifier::parse(&self::signer(name, byte).vkey()).expect("a verifier key");
            assert_eq!(other.open(&note), Err(NoteRefused::Unsigned), "{name} {byte}");
        }
    }

    #[test]
    fn signatures_of_others_may_stand_beside_ours() {
        let (ours, theirs) = (signer("ours", 1), signer("theirs", 2));
        let (note, other) = (ours.sign(&checkpoint()), theirs.sign(&checkpoint()));
        let (_, other_line) = other.split_once("\n\n").expect("a note");
        let (text, our_line) = note.split_once("\n\n").expect("a note");
        let verifier = NoteVerifier::parse(&ours.vkey()).expect("a verifier key");
        assert_eq!(verifier.open(&format!("{text}\n\n{our_line}{other_line}")), Ok(checkpoint()));
        assert_eq!(verifier.open(&format!("{text}\n\n{other_line}{our_line}")), Ok(checkpoint()));
        assert_eq!(verifier.open(&format!("{text}\n\n{other_line}")), Err(NoteRefused::Unsigned));
        assert_eq!(verifier.open(&format!("{text}\n\n{our_line}junk\n")), Err(NoteRefused::Malformed));
    }

    #[test]
    fn a_signed_text_that_is_not_exactly_a_checkpoint_is_refused() {
        let signer = signer("log", 1);
        let verifier = NoteVerifier::parse(&signer.vkey()).expect("a verifier key");
        let root = BASE64.encode(&[7; 32]);
        let sign = |text: &str| {
            let id = key_id("log", signer.pair.public_key().as_ref());
            let signature = BASE64.encode(&[&id, signer.pair.sign(text.as_bytes()).as_ref()].concat());
            format!("{text}\n\u{2014} log {signature}\n")
        };
        assert!(verifier.open(&sign(&format!("log\n7\n{root}\n"))).is_ok());
        for text in [
            format!("log\n07\n{root}\n"),
            format!("log\n+7\n{root}\n"),
            format!("log\n-7\n{root}\n"),
            format!("log\n18446744073709551616\n{root}\n"),
            format!("log\n7\n{root}\nextension\n"),
            format!("\n7\n{root}\n"),
            format!("log\n7\n{}\n", BASE64.encode(&[7; 31])),
            "log\n7\n".to_owned(),
        ] {
            assert_eq!(verifier.open(&sign(&text)).err(), Some(NoteRefused::Checkpoint), "{text:?}");
        }
    }

    #[test]
    fn malformed_names_seeds_and_verifier_keys_are_refused() {
        for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
            assert!(NoteSigner::new(name, &SecretBytes::new(vec![1; 32])).is_none(), "{name:?}");
        }
        for length in [0, 31, 33, 64] {
            assert!(NoteSigner::new("log", &SecretBytes::new(vec![1; length])).is_none(), "{length}");
        }
        let vkey = signer("log", 1).vkey();
        let (name_and_id, key) = vkey.rsplit_once('+').expect("a verifier key");
        for text in [
            "",
            "log",
            "log+00000000",
            &vkey.replace("log", "lag"),
            &vkey[..vkey.len() - 1],
            &format!("log+00000000+{key}"),
            &vkey.to_uppercase(),
            name_and_id,
            &format!("{vkey}+"),
        ] {
            assert!(NoteVerifier::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    #[should_panic(expected = "one line")]
    fn an_origin_of_two_lines_is_never_signed() {
        signer("log", 1).sign(&Checkpoint { origin: "log\n1".to_owned(), ..checkpoint() });
    }

    proptest! {
        #[test]
        fn any_checkpoint_comes_back(origin in "[^\\p{Cc}]{1,40}", size in any::<u64>(), root in any::<Hash>()) {
            let signer = signer("log", 1);
            let checkpoint = Checkpoint { origin, size, root };
            let verifier = NoteVerifier::parse(&signer.vkey()).expect("a verifier key");
            prop_assert_eq!(verifier.open(&signer.sign(&checkpoint)), Ok(checkpoint));
        }

        #[test]
        fn no_edited_note_opens(place in 0usize..230, byte in 0x20u8..0x7f) {
            let signer = signer("log", 1);
            let note = signer.sign(&checkpoint());
            let mut edited = note.clone().into_bytes();
            let place = place % edited.len();
            edited[place] = byte;
            if let Ok(edited) = String::from_utf8(edited) && edited != note {
                let verifier = NoteVerifier::parse(&signer.vkey()).expect("a verifier key");
                prop_assert!(verifier.open(&edited).is_err());
            }
        }
    }
}
