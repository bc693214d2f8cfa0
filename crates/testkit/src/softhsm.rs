//! A PKCS#11 token for tests: SoftHSM 2 with a token directory of its own.
//!
//! SoftHSM learns from its environment where its tokens are, when the module is loaded, and a module is loaded once a
//! process. A test that needs a token is therefore run again in a process of its own, with that environment.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The user's PIN of every token that is made here.
pub const PIN: &str = "24681357";
const SECURITY_OFFICER_PIN: &str = "1357924680";
const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// Where Debian and Fedora put the module.
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A directory with tokens, for the process that this is.
pub struct SoftHsm {
    directory: PathBuf,
    /// The module to load.
    pub module: PathBuf,
}

/// Runs `body` with a SoftHSM of its own that has tokens with these labels.
///
/// `test` is the full name of the calling test. The body runs in another process of the same executable; its failure is
/// the test's. Without SoftHSM on the machine the test is left out, except in CI, where it fails.
pub fn in_its_own_process(test: &str, labels: &[&str], body: impl FnOnce(SoftHsm)) {
    let Some(module) = module() else { return };
    if let Some(configuration) = std::env::var_os(CONFIGURATION) {
        let directory = Path::new(&configuration).parent().expect("a directory").to_owned();
        body(SoftHsm { directory, module });
        return;
    }
    let directory = TempDir::new().expect("a temporary directory");
    let configuration = configure(directory.path());
    for label in labels {
        make_token(&configuration, label);
    }
    let passed = Command::new(std::env::current_exe().expect("this executable"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CONFIGURATION, &configuration)
        .output()
        .expect("the test runs again");
    let said = String::from_utf8_lossy(&passed.stdout);
    let complained = String::from_utf8_lossy(&passed.stderr);
    assert!(passed.status.success(), "in its own process:\n{said}\n{complained}");
    assert!(said.contains("1 passed"), "`{test}` is not the name of the test:\n{said}");
}

/// Where the module is. Nothing where SoftHSM is not installed, which is an error in CI.
#[track_caller]
pub(crate) fn module() -> Option<PathBuf> {
    let found = MODULES.iter().map(PathBuf::from).find(|path| path.is_file());
    if found.is_none() {
        let ci = std::env::var_os("CI").is_some();
        assert!(!ci, "SoftHSM 2 is missing (Debian: softhsm2)");
        eprintln!("left out: SoftHSM 2 is missing (Debian: softhsm2)");
    }
    found
}

/// Makes a token with this label, [`PIN`] and nothing in it.
pub(crate) fn make_token(configuration: &OsStr, label: &str) {
    let pins = ["--pin", PIN, "--so-pin", SECURITY_OFFICER_PIN];
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label])
        .args(pins)
        .env(CONFIGURATION, configuration)
        .output()
        .expect("softhsm2-util runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Writes a file that only its owner can read, with a PIN.
pub(crate) fn write_pin_file(directory: &Path, name: &str, pin: &str) -> PathBuf {
    let path = directory.join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, format!("{pin}\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    path
}

pub(crate) fn configure(directory: &Path) -> OsString {
    let (tokens, configuration) = (directory.join("tokens"), directory.join("softhsm2.conf"));
    fs::create_dir(&tokens).expect("a directory");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        tokens.display()
    );
    fs::write(&configuration, text).expect("a file");
    configuration.into_os_string()
}

impl SoftHsm {
    /// A new file that only its owner can read, with a PIN.
    pub fn pin_file(&self, name: &str, pin: &str) -> PathBuf {
        write_pin_file(&self.directory, name, pin)
    }

    /// Takes the tokens away while they are in use.
    pub fn remove_tokens(&self) {
        fs::remove_dir_all(self.directory.join("tokens")).expect("removed");
    }
}
