use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::authority::CaMaterial;
use super::*;
use crate::adapters::SystemEntropy;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn names() -> CertificateNames {
    CertificateNames {
        vault_suffix: Host::parse("vault.localhost").unwrap(),
        extra: vec![Host::parse("id.example.org").unwrap(), Host::parse("10.0.0.7").unwrap()],
    }
}

fn issued(capture: bool) -> Tls {
    let (authority, _) = Authority::generate(NOW, &SystemEntropy).unwrap();
    Tls::new(authority, MainCertificate::Issued(names()), capture, NOW, &SystemEntropy).unwrap()
}

fn main_chain(tls: &Tls) -> Vec<CertificateDer<'static>> {
    tls.shown.0.load().main.cert.clone()
}

fn accepts(root: &[u8], chain: &[CertificateDer<'_>], name: &str, now: Timestamp) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec())).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds()));
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).is_ok()
}

#[test]
fn the_main_leaf_is_accepted_for_our_names_and_no_others() {
    let tls = issued(true);
    let chain = main_chain(&tls);
    let root = tls.authority().certificate_der().to_vec();
    for name in ["localhost", "127.0.0.1", "::1", "app.vault.localhost", "id.example.org", "10.0.0.7"] {
        assert!(accepts(&root, &chain, name, NOW), "{name}");
    }
    for name in
        ["x.localhost", "a.b.vault.localhost", "login.microsoftonline.com", "app.vault.azure.net", "10.0.0.8"]
    {
        assert!(!accepts(&root, &chain, name, NOW), "{name}");
    }
    assert!(!accepts(&root, &chain, "localhost", NOW.plus(31 * DAY)));
    let (stranger, _) = Authority::generate(NOW, &SystemEntropy).unwrap();
    assert!(!accepts(stranger.certificate_der(), &chain, "localhost", NOW));
}

#[test]
fn the_capture_leaf_covers_microsofts_names_and_exists_only_when_asked_for() {
    let tls = issued(true);
    let capture = tls.shown.0.load().capture.clone().unwrap();
    let root = tls.authority().certificate_der().to_vec();
    for name in
        ["login.microsoftonline.com", "login.windows.net", "management.azure.com", "app.vault.azure.net"]
    {
        assert!(accepts(&root, &capture.cert, name, NOW), "{name}");
        assert!(is_capture_name(name));
    }
    assert!(!accepts(&root, &capture.cert, "localhost", NOW));
    for name in
        ["localhost", "vault.azure.net", "a.b.vault.azure.net", "evilvault.azure.net", "microsoftonline.com"]
    {
        assert!(!is_capture_name(name), "{name}");
    }
    assert!(issued(false).shown.0.load().capture.is_none());
}

#[test]
fn a_wildcard_under_a_top_level_name_is_refused() {
    for suffix in ["localhost", "127.0.0.1"] {
        let names = CertificateNames { vault_suffix: Host::parse(suffix).unwrap(), extra: Vec::new() };
        assert!(matches!(names.subject_alternative_names(), Err(TlsError::Name { .. })), "{suffix}");
    }
}

#[test]
fn a_stored_authority_issues_leafs_that_chain_to_its_old_certificate() {
    let (first, material) = Authority::generate(NOW, &SystemEntropy).unwrap();
    let again = Authority::load(&material).unwrap();
    assert_eq!(first.certificate_der(), again.certificate_der());
    let leaf = again.issue(&["localhost".to_owned()], NOW, &SystemEntropy).unwrap();
    assert!(accepts(first.certificate_der(), &leaf.key.cert, "localhost", NOW));
    let (_, other) = Authority::generate(NOW, &SystemEntropy).unwrap();
    let mixed = CaMaterial { certificate_der: material.certificate_der, key_pkcs8: other.key_pkcs8 };
    assert!(matches!(Authority::load(&mixed), Err(TlsError::Authority(_))));
    let garbage = CaMaterial { certificate_der: vec![1], key_pkcs8: mixed.key_pkcs8 };
    assert!(matches!(Authority::load(&garbage), Err(TlsError::Authority(_))));
}

#[test]
fn a_leaf_is_renewed_ten_days_before_its_end_and_when_the_clock_went_back() {
    let tls = issued(true);
    let first = main_chain(&tls);
    assert_eq!(tls.tick(NOW.plus(19 * DAY), &SystemEntropy), Ticked::default());
    assert_eq!(main_chain(&tls), first);
    let both = Ticked { main: true, capture: true, files_refused: false };
    assert_eq!(tls.tick(NOW.plus(20 * DAY), &SystemEntropy), both);
    assert_ne!(main_chain(&tls), first);
    assert!(accepts(tls.authority().certificate_der(), &main_chain(&tls), "localhost", NOW.plus(49 * DAY)));
    assert_eq!(tls.tick(NOW, &SystemEntropy), both);
}

fn write_pair(directory: &Path, names: &[&str], now: Timestamp) -> Authority {
    let (authority, _) = Authority::generate(now, &SystemEntropy).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params =
        rcgen::CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
    let seconds = i64::try_from(now.seconds()).unwrap();
    params.not_before = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    params.not_after = params.not_before + time::Duration::days(90);
    std::fs::write(directory.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    authority
}

#[test]
fn given_files_are_taken_up_when_they_change_and_invalid_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let authority = write_pair(directory.path(), &["first.example"], NOW);
    let files =
        CertificateFiles { chain: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
    let tls = Tls::new(authority, MainCertificate::Files(files), false, NOW, &SystemEntropy).unwrap();
    let first = main_chain(&tls);
    assert_eq!(tls.tick(NOW, &SystemEntropy), Ticked::default());

    let refused = Ticked { files_refused: true, ..Ticked::default() };
    let key = std::fs::read(directory.path().join("tls.key")).unwrap();
    std::fs::write(directory.path().join("tls.key"), "garbage").unwrap();
    assert_eq!(tls.tick(NOW, &SystemEntropy), refused);
    std::fs::write(directory.path().join("tls.key"), &key).unwrap();
    assert_eq!(tls.tick(NOW, &SystemEntropy), Ticked::default());

    write_pair(directory.path(), &["second.example"], NOW);
    std::fs::write(directory.path().join("tls.key"), &key).unwrap();
    assert_eq!(tls.tick(NOW, &SystemEntropy), refused, "the key of another certificate");
    write_pair(directory.path(), &["expired.example"], Timestamp::from_seconds(1_000_000_000));
    assert_eq!(tls.tick(NOW, &SystemEntropy), refused, "an expired certificate");
    std::fs::remove_file(directory.path().join("tls.crt")).unwrap();
    assert_eq!(tls.tick(NOW, &SystemEntropy), refused, "a missing file");
    assert_eq!(main_chain(&tls), first);

    write_pair(directory.path(), &["third.example"], NOW);
    assert_eq!(tls.tick(NOW, &SystemEntropy), Ticked { main: true, ..Ticked::default() });
    assert_ne!(main_chain(&tls), first);
}

#[test]
fn trust_files_hold_our_authority_alone_and_with_the_systems_roots() {
    let directory = tempfile::tempdir().unwrap();
    let tls = issued(false);
    tls.write_trust(directory.path()).unwrap();
    let own = std::fs::read_to_string(directory.path().join("ca.pem")).unwrap();
    let bundle = std::fs::read_to_string(directory.path().join("ca-bundle.pem")).unwrap();
    assert_eq!(own, tls.authority().certificate_pem());
    assert!(bundle.ends_with(&own));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(directory.path().join("ca.pem")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn openssl_reads_our_certificates_strictly_when_it_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    let tls = issued(false);
    tls.write_trust(directory.path()).unwrap();
    let leaf = directory.path().join("leaf.pem");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &main_chain(&tls)[0]);
    std::fs::write(&leaf, format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let verify = |name: &str| {
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &NOW.seconds().to_string()])
            .args(["-verify_hostname", name, "-CAfile"])
            .args([directory.path().join("ca.pem"), leaf.clone()])
            .stdin(Stdio::null())
            .output()
    };
    let Ok(good) = verify("app.vault.localhost") else {
        eprintln!("openssl is not installed: not run");
        return;
    };
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(!verify("x.localhost").unwrap().status.success());
}
