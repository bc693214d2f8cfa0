//! A TPM 2.0, played by `swtpm`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vouchsafe_store::root::{RootKeySource, TpmSource};

use super::{made, opened};
use crate::support::run;

/// A TPM in a process of its own, with its state in a directory.
pub(super) struct SoftwareTpm {
    process: Child,
    tcti: String,
}

impl SoftwareTpm {
    pub(super) fn start(directory: &Path) -> Self {
        let state = directory.join("tpm");
        std::fs::create_dir_all(&state).unwrap();
        let port = two_free_ports();
        let process = Command::new("swtpm")
            .arg("socket")
            .arg("--tpm2")
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,bindaddr=127.0.0.1,port={port}"))
            .arg("--ctrl")
            .arg(format!("type=tcp,bindaddr=127.0.0.1,port={}", port + 1))
            .args(["--flags", "not-need-init,startup-clear"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm (Debian: swtpm)");
        let begun = Instant::now();
        while !(is_listened_on(port) && is_listened_on(port + 1)) && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::yield_now();
        }
        Self { process, tcti: format!("swtpm:host=127.0.0.1,port={port}") }
    }

    pub(super) fn source(&self, pcrs: &[u8]) -> RootKeySource {
        RootKeySource::Tpm(TpmSource { tcti: self.tcti.clone(), pcrs: pcrs.to_vec() })
    }
}

/// Asked of the kernel: to connect, or to bind, would come between `swtpm` and its port.
fn is_listened_on(port: u16) -> bool {
    let (local, listening) = (format!("0100007F:{port:04X}"), "0A");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|row| {
        row.get(1).is_some_and(|address| *address == local)
            && row.get(3).is_some_and(|state| *state == listening)
    })
}

/// The library takes the control port to be the one after the command port.
fn two_free_ports() -> u16 {
    (0..100)
        .find_map(|_| {
            let first = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
        })
        .expect("two free ports beside one another")
}

impl Drop for SoftwareTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn extend(tpm: &SoftwareTpm, pcr: u8) {
    use tss_esapi::handles::PcrHandle;
    use tss_esapi::interface_types::algorithm::HashingAlgorithm;
    use tss_esapi::structures::{Digest, DigestValues};
    let mut context = tss_esapi::Context::new(tpm.tcti.parse().unwrap()).unwrap();
    let mut values = DigestValues::new();
    values.set(HashingAlgorithm::Sha256, Digest::try_from(vec![7; 32]).unwrap());
    let handle = PcrHandle::try_from(u32::from(pcr)).unwrap();
    context.execute_with_nullauth_session(|context| context.pcr_extend(handle, values)).unwrap();
}

#[test]
fn a_tpm_opens_what_it_sealed_while_its_pcrs_are_as_they_were_and_no_other_tpm_does() {
    let directory = tempfile::tempdir().unwrap();
    let tpm = SoftwareTpm::start(directory.path());
    let free = tempfile::tempdir().unwrap();
    let unbound = made(free.path(), &tpm.source(&[]));
    let data = made(directory.path(), &tpm.source(&[7, 16]));
    for _ in 0..2 {
        run(opened(&data, &tpm.source(&[]))).unwrap();
    }
    run(opened(&unbound, &tpm.source(&[]))).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let other = SoftwareTpm::start(elsewhere.path());
    for data in [&data, &unbound] {
        let error = run(opened(data, &other.source(&[]))).err().expect("another TPM").to_string();
        assert!(error.contains("another TPM sealed it"), "{error}");
    }
    extend(&tpm, 16);
    let error = run(opened(&data, &tpm.source(&[]))).err().expect("changed PCRs").to_string();
    assert!(error.contains("PCRs [7, 16] are not as they were"), "{error}");
    run(opened(&unbound, &tpm.source(&[]))).unwrap();

    let absent = RootKeySource::Tpm(TpmSource { tcti: "swtpm:path=/nonexistent".into(), pcrs: vec![] });
    let error = run(opened(&data, &absent)).err().expect("no TPM").to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}
