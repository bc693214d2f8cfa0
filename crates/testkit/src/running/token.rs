//! A PKCS#11 token for a server process: SoftHSM 2 with a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::softhsm::{self, PIN};

/// A token that a server is told of by its environment.
pub struct Token {
    configuration: PathBuf,
    module: PathBuf,
    pin_file: PathBuf,
    label: String,
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
        Some(Self { configuration, module, pin_file, label: Self::LABEL.to_owned() })
    }

    /// Another token beside this one, with the same PIN.
    pub fn another(&self, label: &str) -> Self {
        softhsm::make_token(self.configuration.as_os_str(), label);
        let Self { configuration, module, pin_file, .. } = self;
        let (configuration, module, pin_file) = (configuration.clone(), module.clone(), pin_file.clone());
        Self { configuration, module, pin_file, label: label.to_owned() }
    }

    /// The same token with another text in the PIN file, or without the file.
    pub fn set_pin(&self, pin: Option<&str>) {
        let directory = self.pin_file.parent().expect("a directory");
        match pin {
            Some(pin) => drop(softhsm::write_pin_file(directory, "pin", pin)),
            None => fs::remove_file(&self.pin_file).expect("removed"),
        }
    }

    /// The right PIN.
    pub fn pin(&self) -> &'static str {
        PIN
    }

    /// The same token by another module.
    pub fn with_module(self, module: &Path) -> Self {
        Self { module: module.to_owned(), ..self }
    }

    /// Makes logins to the token hang for as long as what is returned is kept: SoftHSM writes the token's file at each, and
    /// waits for whoever reads it. It reads it itself before.
    pub fn hold_logins(&self) -> Vec<fs::File> {
        let directory = self.configuration.parent().expect("a directory").join("tokens");
        let tokens = fs::read_dir(directory).expect("the tokens").flatten();
        let hold = |token: fs::DirEntry| {
            let file = fs::File::open(token.path().join("token.object")).expect("the file of a token");
            fcntl_lock(&file, FlockOperation::LockShared).expect("locked");
            file
        };
        tokens.map(hold).collect()
    }

    /// Deletes every key of every token, as whoever has their files can.
    pub fn lose_keys(&self) {
        let directory = self.configuration.parent().expect("a directory").join("tokens");
        for token in fs::read_dir(directory).expect("the tokens").flatten() {
            for file in fs::read_dir(token.path()).expect("a token").flatten() {
                let name = file.file_name();
                if name != "token.object" && name.to_string_lossy().ends_with(".object") {
                    fs::remove_file(file.path()).expect("removed");
                }
            }
        }
    }

    /// Puts an AES key that everybody knows under an id, in hexadecimal.
    pub fn plant(&self, id: &str) {
        let key = self.pin_file.with_file_name("planted");
        fs::write(&key, [7; 32]).expect("a file");
        let made = Command::new("softhsm2-util")
            .args(["--import", path(&key), "--aes", "--token", &self.label, "--label", "planted"])
            .args(["--id", id, "--pin", PIN])
            .env("SOFTHSM2_CONF", &self.configuration)
            .output()
            .expect("softhsm2-util runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// The variables of a server that keeps keys in the token.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("SOFTHSM2_CONF", path(&self.configuration)),
            ("VOUCHSAFE_PKCS11_MODULE", path(&self.module)),
            ("VOUCHSAFE_PKCS11_TOKEN", &self.label),
            ("VOUCHSAFE_PKCS11_PIN_FILE", path(&self.pin_file)),
        ]
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}
