//! `vouchsafe clock`: how the machine's clock stands to what the deployment knows of the time, and who vouches for it.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use vouchsafe_wire::admin::{ClockConfirmed, ClockStatus};

use crate::cli::{Clock, Format};
use crate::client::Client;
use crate::output;

pub async fn clock(client: &Client, format: Format, command: &Clock) -> Result<ExitCode> {
    match command {
        Clock::Status => {
            let clock = client.status().await?.clock;
            output::print(format, &clock, |clock| match said(clock) {
                Ok(text) | Err(text) => text,
            })?;
        }
        Clock::Confirm => {
            let path = "/admin/v1/clock/confirm";
            let confirmed: ClockConfirmed = client.json(Method::POST, "vouchsafe", path, None).await?;
            output::print(format, &confirmed, |confirmed| {
                let before = match confirmed.before.as_str() {
                    "sound" => "it was not in doubt".to_owned(),
                    before => format!("it was {} s {before}", confirmed.seconds),
                };
                format!("the clock is believed from now on ({before}); it is {}", confirmed.clock.now)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How the clock stands and what follows; as an error when something has to be done about it.
pub fn said(clock: &ClockStatus) -> Result<String, String> {
    let ClockStatus { standing, seconds, now } = clock;
    let help = "set it right or, if it is right, run `vouchsafe clock confirm`";
    match standing.as_str() {
        "sound" => Ok(format!("{now}, as expected")),
        "behind" => Err(format!(
            "{seconds} s behind the latest time known, which goes on from {now}: no token and no certificate is issued; {help}"
        )),
        _ => Err(format!(
            "{seconds} s ahead of what can have passed: nothing is purged and no signing key retires; {help}"
        )),
    }
}
