//! A PKCS#11 token for a server process: SoftHSM 2 with a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::softhsm::{self, PIN};

/// A token that a server is told of by its environment.
pub struct Token {
    configuration: PathBuf,
    module: PathBuf,
    pin_file: PathBuf,
}

impl Token {
    const LABEL: &str = "vouchsafe-test";

    /// Makes a token in a directory. Nothing where SoftHSM is not installed, which is an error in CI.
    #[track_caller]
    pub fn make(directory: &Path) -> Option<Self> {
        let module = softhsm::module()?;
        let directory = directory.join("token");
        fs::create_dir(&directory).expect("a directory for the token");
        let configuration = PathBuf::from(softhsm::configure(&directory));
        softhsm::make_token(configuration.as_os_str(), Self::LABEL);
        let pin_file = softhsm::write_pin_file(&directory, "pin", PIN);
        Some(Self { configuration, module, pin_file })
    }

    /// The variables of a server that keeps keys in the token.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("SOFTHSM2_CONF", path(&self.configuration)),
            ("VOUCHSAFE_PKCS11_MODULE", path(&self.module)),
            ("VOUCHSAFE_PKCS11_TOKEN", Self::LABEL),
            ("VOUCHSAFE_PKCS11_PIN_FILE", path(&self.pin_file)),
        ]
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}
