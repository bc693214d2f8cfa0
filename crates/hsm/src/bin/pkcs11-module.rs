//! The process of a module, for the tests of this crate: what `vouchsafe pkcs11-module` is in the shipped program.

use std::process::ExitCode;

fn main() -> ExitCode {
    match vouchsafe_hsm::pkcs11::child::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
