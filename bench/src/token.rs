//! A SoftHSM 2 token for the measured server, and the same token asked without a server: what there is to lose.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::load::Measured;

const PIN: &str = "24681357";
const LABEL: &str = "bench";
/// Where Debian and Fedora put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
/// As many connections as the server keeps open by default.
const CONNECTIONS: usize = 4;
/// The object identifier of P-256 in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const MODULE_VARIABLE: &str = "VOUCHSAFE_PKCS11_MODULE";
const CONFIGURATION_VARIABLE: &str = "SOFTHSM2_CONF";

/// A token in a directory of its own.
pub struct Token {
    module: PathBuf,
    configuration: OsString,
    pin_file: OsString,
}

impl Token {
    /// Makes one, where SoftHSM 2 is installed.
    pub fn make(directory: &Path) -> Result<Option<Self>> {
        let Some(module) = MODULES.iter().map(PathBuf::from).find(|path| path.is_file()) else {
            return Ok(None);
        };
        let (tokens, configuration) = (directory.join("tokens"), directory.join("softhsm2.conf"));
        fs::create_dir(&tokens)?;
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        fs::write(&configuration, text)?;
        let mut tool = Command::new("softhsm2-util");
        tool.args(["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN]);
        tool.env(CONFIGURATION_VARIABLE, &configuration).stdout(Stdio::null());
        ensure!(tool.status().context("softhsm2-util")?.success(), "softhsm2-util made no token");
        let pin_file = directory.join("pin");
        fs::write(&pin_file, format!("{PIN}\n"))?;
        fs::set_permissions(&pin_file, fs::Permissions::from_mode(0o600))?;
        let [configuration, pin_file] = [configuration, pin_file].map(PathBuf::into_os_string);
        Ok(Some(Self { module, configuration, pin_file }))
    }

    /// What a server is told of it.
    pub fn environment(&self) -> Vec<(&'static str, &OsStr)> {
        vec![
            (CONFIGURATION_VARIABLE, &self.configuration),
            (MODULE_VARIABLE, self.module.as_os_str()),
            ("VOUCHSAFE_PKCS11_TOKEN", OsStr::new(LABEL)),
            ("VOUCHSAFE_PKCS11_PIN_FILE", &self.pin_file),
        ]
    }

    /// How fast it signs when a program asks it directly. A module reads its environment once, so this is a process.
    pub fn sign_raw(&self, kind: &str, seconds: u64) -> Result<Measured> {
        let mut program = Command::new(env::current_exe()?);
        program.args(["--seconds", &seconds.to_string(), "raw-token", kind]).envs(self.environment());
        let output = program.stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Measured::from_json(&String::from_utf8(output.stdout)?)
    }
}

/// Signs in the token that the environment names, in [`CONNECTIONS`] threads.
pub fn sign_raw(kind: &str, seconds: u64) -> Result<Measured> {
    let module = env::var_os(MODULE_VARIABLE).context("no module is named")?;
    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = module.get_slots_with_initialized_token()?.into_iter().next().context("no token")?;
    let connections =
        (0..CONNECTIONS).map(|_| module.open_rw_session(slot)).collect::<Result<Vec<_>, _>>()?;
    let first = connections.first().context("no session")?;
    first.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
    let key = make_key(first, kind)?;
    // A SHA-256 digest, and for RSA with its name around it (RFC 8017 §9.2).
    let (sign, bytes): (fn() -> Mechanism<'static>, usize) =
        if kind == "P-256" { (|| Mechanism::Ecdsa, 32) } else { (|| Mechanism::RsaPkcs, 51) };
    let (begin, length) = (Barrier::new(CONNECTIONS), Duration::from_secs(seconds));
    let signed = thread::scope(|scope| {
        let begin = &begin;
        let threads = connections.into_iter().map(|connection| {
            scope.spawn(move || {
                let (mechanism, data) = (sign(), vec![7; bytes]);
                begin.wait();
                let end = Instant::now() + length;
                let mut micros = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    connection.sign(&mechanism, key, &data)?;
                    micros.push(started.elapsed().as_micros() as f64);
                }
                Ok(micros)
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<Vec<f64>>>>()
    });
    let mut micros = signed?.concat();
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| micros.get((micros.len() as f64 * part) as usize).or(micros.last()).copied();
    Ok(Measured {
        answers: micros.len(),
        errors: 0,
        seconds: length.as_secs_f64(),
        p50: at(0.50).context("nothing was signed")?,
        p99: at(0.99).context("nothing was signed")?,
        max: at(1.0).context("nothing was signed")?,
        first_error: None,
        processor_micros: None,
    })
}

/// A new key in the token.
fn make_key(session: &Session, kind: &str) -> Result<ObjectHandle> {
    let private = [Attribute::Token(true), Attribute::Sensitive(true), Attribute::Sign(true)];
    let (mechanism, public) = match kind {
        "P-256" => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(P256.to_vec())]),
        "RSA-2048" => {
            let exponent = Attribute::PublicExponent(vec![1, 0, 1]);
            (Mechanism::RsaPkcsKeyPairGen, vec![Attribute::ModulusBits(2_048.into()), exponent])
        }
        other => bail!("`{other}` is no kind of key here"),
    };
    Ok(session.generate_key_pair(&mechanism, &public, &private)?.1)
}
