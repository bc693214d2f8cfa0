//! What the demo and the proof need from the machine, and how they get it: Debian's packages, and Python's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Log, succeeds};
use crate::workspace::Workspace;

/// One thing that must be there, how it is looked for, and the Debian packages that bring it.
struct Need {
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    packages: &'static [&'static str],
}

/// What the demo needs, and so does the proof.
const DEMO: &[Need] = &[
    Need { what: "a C compiler", program: "cc", arguments: &["--version"], packages: &["gcc", "libc6-dev"] },
    Need {
        what: "Python 3.11 or newer with venv",
        program: "python3",
        arguments: &["-c", "import sys, venv, ensurepip, tomllib; assert sys.version_info >= (3, 11)"],
        packages: &["python3", "python3-venv"],
    },
    Need { what: "sha256sum", program: "sha256sum", arguments: &["--version"], packages: &["coreutils"] },
];

/// What the proof needs besides.
const PROOF: &[Need] = &[
    Need {
        what: "a C++ compiler (libFuzzer)",
        program: "c++",
        arguments: &["--version"],
        packages: &["g++"],
    },
    Need {
        what: "OpenSSL's headers (the Rust client's certificate credential)",
        program: "pkg-config",
        arguments: &["--exists", "openssl"],
        packages: &["pkg-config", "libssl-dev"],
    },
    Need {
        what: "SoftHSM 2 (keys in a PKCS#11 token)",
        program: "softhsm2-util",
        arguments: &["--version"],
        packages: &["softhsm2"],
    },
    Need {
        what: "Node.js 20 or newer with npm",
        program: "sh",
        arguments: &[
            "-c",
            "npm --version && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'",
        ],
        packages: &["nodejs", "npm"],
    },
    Need {
        what: "a Java compiler, 17 or newer",
        program: "javac",
        arguments: &["--release", "17", "--version"],
        packages: &["openjdk-17-jdk-headless"],
    },
    Need { what: "Maven", program: "mvn", arguments: &["--version"], packages: &["maven"] },
    Need {
        what: "libtss2 (root keys in a TPM)",
        program: "pkg-config",
        arguments: &["--exists", "tss2-esys"],
        packages: &["pkg-config", "libtss2-dev"],
    },
    Need {
        what: "a software TPM",
        program: "swtpm",
        arguments: &["--version"],
        packages: &["swtpm", "swtpm-tools"],
    },
    Need {
        what: "PostgreSQL (the example of a customer-managed key)",
        program: "sh",
        arguments: &["-c", "command -v initdb || ls /usr/lib/postgresql/*/bin/initdb"],
        packages: &["postgresql"],
    },
    Need {
        what: "OpenSSL's commands (a second opinion on certificates)",
        program: "openssl",
        arguments: &["version"],
        packages: &["openssl"],
    },
    Need {
        what: "strace (what a server asks of the kernel)",
        program: "strace",
        arguments: &["--version"],
        packages: &["strace"],
    },
];

const INSTALL: Duration = Duration::from_secs(15 * 60);

/// What is to be shown.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Purpose {
    Demo,
    Proof,
}

/// Installs what is missing, as far as this user may; returns what is still missing afterwards.
pub fn install(log: &Log, purpose: Purpose) -> Result<Vec<String>> {
    let besides = if purpose == Purpose::Proof { PROOF } else { &[] };
    let missing = || {
        DEMO.iter().chain(besides).filter(|need| !succeeds(need.program, need.arguments)).collect::<Vec<_>>()
    };
    let needs = missing();
    if !needs.is_empty() && rustix::process::getuid().is_root() && succeeds("apt-get", &["--version"]) {
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        let packages = needs.iter().flat_map(|need| need.packages);
        log.run(apt().arg("update"), INSTALL)?;
        log.run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages), INSTALL)?;
    }
    let still = missing();
    Ok(still.iter().map(|need| format!("{} (Debian: {})", need.what, need.packages.join(" "))).collect())
}

/// The Python interpreter that has the foreign clients; makes its environment when it is not as pinned.
pub fn python(workspace: &Workspace, log: &Log) -> Result<PathBuf> {
    let pinned = workspace.path("conformance/python/requirements.txt");
    let environment = python_environment(workspace.target.join("venv"), &pinned, log, |python| {
        log.must(Command::new(python).args(["-m", "pip", "check"]), INSTALL)
    })?;
    Ok(environment.join("bin/python"))
}

/// The `az` command line, in an environment of its own. Its packages are not checked against what they ask for, because
/// those of the other services are left out on purpose; the scenarios tell whether it works.
pub fn az(workspace: &Workspace, log: &Log) -> Result<PathBuf> {
    let pinned = workspace.path("conformance/az/requirements.txt");
    let environment = python_environment(workspace.target.join("az"), &pinned, log, |_| Ok(()))?;
    Ok(environment.join("bin/az"))
}

/// A virtual environment with exactly what `pinned` lists; made anew when that has changed or `check` did not pass.
fn python_environment(
    environment: PathBuf,
    pinned: &Path,
    log: &Log,
    check: impl Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let python = environment.join("bin").join("python");
    let installed = environment.join("installed-requirements.txt");
    let wanted = fs::read(pinned)?;
    if fs::read(&installed).is_ok_and(|found| found == wanted) && python.exists() {
        return Ok(environment);
    }
    log.must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), INSTALL)?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
        "--requirement",
    ]);
    log.must(pip.arg(pinned), INSTALL)?;
    check(&python)?;
    fs::write(installed, wanted)?;
    Ok(environment)
}

/// Puts the packages of the JavaScript client below the target directory, as its lock file says; tells whether Node.js
/// is there at all.
pub fn js(workspace: &Workspace, log: &Log) -> Result<bool> {
    if !succeeds("npm", &["--version"]) {
        return Ok(false);
    }
    let directory = workspace.target.join("js");
    let installed = directory.join("installed-package-lock.json");
    let wanted = fs::read(workspace.path("conformance/js/package-lock.json"))?;
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(true);
    }
    fs::create_dir_all(&directory)?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(workspace.path("conformance/js").join(name), directory.join(name))?;
    }
    let mut npm = Command::new("npm");
    log.must(npm.args(["ci", "--ignore-scripts"]).current_dir(&directory), INSTALL)?;
    fs::write(installed, wanted)?;
    Ok(true)
}

/// Builds the Go scenarios; tells whether there is a Go that can. Debian's is too old, so it is not installed.
pub fn go(workspace: &Workspace, log: &Log) -> Result<bool> {
    let directory = workspace.path("conformance/go");
    let target = workspace.target.join("go");
    let go = |arguments: &[&str]| {
        let mut go = Command::new("go");
        go.args(arguments).current_dir(&directory);
        go.env("GOCACHE", target.join("cache")).env("GOFLAGS", "-mod=readonly").env("GOTOOLCHAIN", "local");
        go
    };
    let version = go(&["list", "-f", "{{.Name}}", "internal/goversion"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Ok(false);
    }
    log.must(&mut go(&["vet", "."]), INSTALL)?;
    log.must(go(&["build", "-o"]).arg(target.join("conformance")).arg("."), INSTALL)?;
    Ok(true)
}

/// The ACME server that tests order from, and the DNS server that it asks.
const PEBBLE: &str = "v2.10.0";

/// Builds Pebble below the target directory, where tests look for it; tells whether there is a Go that can.
pub fn pebble(workspace: &Workspace, log: &Log) -> Result<bool> {
    let tools = workspace.target.join("tools");
    let installed = tools.join("installed-pebble");
    let programs = ["pebble", "pebble-challtestsrv"];
    let there = programs.iter().all(|program| tools.join(program).is_file());
    if there && fs::read(&installed).is_ok_and(|found| found == PEBBLE.as_bytes()) {
        return Ok(true);
    }
    if !succeeds("go", &["version"]) {
        return Ok(false);
    }
    fs::create_dir_all(&tools)?;
    let mut go = Command::new("go");
    go.arg("install");
    go.args(programs.map(|program| format!("github.com/letsencrypt/pebble/v2/cmd/{program}@{PEBBLE}")));
    go.env("GOBIN", &tools).env("GOCACHE", workspace.target.join("go/cache")).env("GOTOOLCHAIN", "local");
    go.env("GOFLAGS", "-mod=mod").current_dir(&tools);
    log.must(&mut go, INSTALL)?;
    fs::write(installed, PEBBLE)?;
    Ok(true)
}

/// Compiles the Java scenarios and puts the libraries beside them; tells whether the tools are there.
pub fn java(workspace: &Workspace, log: &Log) -> Result<bool> {
    if !succeeds("mvn", &["--version"]) || !succeeds("javac", &["--release", "17", "--version"]) {
        return Ok(false);
    }
    let target = workspace.target.join("java");
    let pom = workspace.path("conformance/java/pom.xml");
    let installed = target.join("installed-pom.xml");
    let wanted = fs::read(&pom)?;
    if !fs::read(&installed).is_ok_and(|found| found == wanted) {
        fs::remove_dir_all(target.join("lib")).ok();
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom);
        maven.arg(MAVEN_COPY).arg(format!("-DoutputDirectory={}", target.join("lib").display()));
        log.must(&mut maven, INSTALL)?;
        fs::write(installed, wanted)?;
    }
    let mut sources: Vec<PathBuf> = fs::read_dir(workspace.path("conformance/java/src"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    sources.sort();
    let mut javac = Command::new("javac");
    javac.args([
        "--release",
        "17",
        "-Xlint:all,-serial,-processing",
        "-Werror",
        "-proc:none",
        "-encoding",
        "UTF-8",
    ]);
    javac.arg("-cp").arg(target.join("lib/*")).arg("-d").arg(target.join("classes"));
    log.must(javac.args(sources), INSTALL)?;
    Ok(true)
}

/// The one thing that Maven is needed for; Java's own compiler does the rest.
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
