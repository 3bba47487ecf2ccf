//! `caxplan serve`.

use crate::failure::{Answer, Failure};
use crate::serve::{Serving, serve};
use crate::{composition, ui};
use caxplan_run::StateDir;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show runs in a browser, and to programs over HTTP
///
/// Read-only, and for this machine only, unless told otherwise. With a token, every request but /healthz needs it: as a
/// bearer token, or as the password that a browser asks for.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:8920", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The file of the token, which only you should be able to read
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let who has the token approve, pause and cancel
    #[arg(long, requires = "token_file")]
    allow_actions: bool,
    /// A name by which this server is called, beside localhost and its address (can be repeated)
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl Serve {
    pub(crate) fn execute(self) -> Answer {
        if self.token_file.is_none() && !self.listen.ip().is_loopback() {
            return Err(Failure::invalid(format!(
                "{} can be reached from other machines, and nobody would be asked for a token",
                self.listen
            ))
            .hint("give --token-file, or listen on 127.0.0.1"));
        }
        let token = self.token_file.as_ref().map(token).transpose()?;
        let dir = StateDir::locate()?;
        composition::runtime()?.block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen)
                .await
                .map_err(|error| {
                    Failure::new(format!("cannot listen on {}: {error}", self.listen))
                        .hint("another program may have the port: --listen names another")
                })?;
            let address = listener.local_addr()?;
            ui::print(&format!("serving on http://{address}\n"));
            let serving = Serving::new(dir, token, self.allow_actions, address, self.host);
            serve(listener, serving).await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn token(path: &PathBuf) -> Answer<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::invalid(format!("cannot read the token in {}: {error}", path.display())))?;
    let token = text.trim().to_owned();
    if token.len() < TOKEN_BYTES_MIN {
        let failure = Failure::invalid(format!(
            "the token in {} is shorter than {TOKEN_BYTES_MIN} bytes",
            path.display()
        ));
        return Err(failure.hint("make one with `head -c 24 /dev/urandom | base64`"));
    }
    Ok(token)
}
