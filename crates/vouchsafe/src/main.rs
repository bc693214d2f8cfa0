//! The one binary: a table of commands.

mod cli;
mod client;
mod command;
mod environment;
mod output;
mod serving;

use std::alloc::System;
use std::process::ExitCode;

use clap::Parser;
use zeroizing_alloc::ZeroAlloc;

/// SECURITY: memory is wiped when it is given back. Secrets of ours wipe themselves; this is for their copies in the
/// buffers of the network, of TLS and of parsers, which are not ours and know nothing of what they carry.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if cli.command.holds_keys()
        && let Err(error) = keep_memory_private()
    {
        eprintln!("error: the kernel does not let this process forbid dumps of its memory: {error}");
        return ExitCode::FAILURE;
    }
    init_logging(cli.command.is_a_server());
    // It does one thing at a time, with foreign code: no runtime and no threads of ours beside it.
    if let cli::Command::Pkcs11Module = cli.command {
        return pkcs11_module();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(command::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    };
    // A prompt or a read of standard input may still hold a thread; the answer is out, so nobody waits for it.
    runtime.shutdown_background();
    code
}

/// The process of a PKCS#11 module; its server talks to it through its standard input.
fn pkcs11_module() -> ExitCode {
    match vouchsafe_hsm::pkcs11::child::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Forbids core images of this process, and other processes of its user to look into it.
///
/// SECURITY: the kernel lets processes of one user read each other's memory and attach to each other, unless one says
/// that it is not to be dumped. Root may do both all the same.
fn keep_memory_private() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Servers log what happens to standard error; other commands only what goes wrong. `VOUCHSAFE_LOG` says otherwise.
fn init_logging(server: bool) {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter};
    let usual = if server { LevelFilter::INFO } else { LevelFilter::WARN };
    let filter = EnvFilter::builder()
        .with_default_directive(usual.into())
        .with_env_var("VOUCHSAFE_LOG")
        .from_env_lossy();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if server { subscriber.json().init() } else { subscriber.compact().init() }
}
