//! A relay before a server that does harm to chosen requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
pub(crate) enum Harm {
    None,
    /// It is answered by this, and does not reach the server.
    Answer(String),
    /// Only a half of the answer's body comes.
    Half,
    /// It is carried out, and no answer comes.
    LostAnswer,
    /// It does not reach the server, and no answer comes.
    LostRequest,
    /// It does not reach the server, and the connection stays open until the client goes.
    Silence,
}

/// An answer with a status and an S3 error code.
pub(crate) fn refusal(status: u16, code: &str, headers: &str) -> Harm {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said the relay</Message></Error>");
    let length = body.len();
    Harm::Answer(format!(
        "HTTP/1.1 {status} Harm\r\n{headers}Content-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

pub(crate) struct Relay {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
    pub(crate) silent: Arc<tokio::sync::Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Passes requests on to `server`. `harm` is given the method and path (with query) of each, and how often that
    /// method and path was seen before.
    pub(crate) async fn start(
        server: &str,
        harm: impl Fn(&str, usize) -> Harm + Send + Sync + 'static,
    ) -> Self {
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let silent: Arc<tokio::sync::Notify> = Arc::default();
        let (harm, log, notify) = (Arc::new(harm), Arc::clone(&seen), Arc::clone(&silent));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (harm, log, server, notify) = (
                    Arc::clone(&harm),
                    Arc::clone(&log),
                    server.clone(),
                    Arc::clone(&notify),
                );
                tokio::spawn(async move {
                    let _ = serve(socket, &server, &*harm, &log, &notify).await;
                });
            }
        });
        Self {
            endpoint,
            seen,
            silent,
            task,
        }
    }

    /// The requests so far: `PUT /bkt/k?x=`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    server: &str,
    harm: &(dyn Fn(&str, usize) -> Harm + Send + Sync),
    log: &Mutex<Vec<String>>,
    silent: &tokio::sync::Notify,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head = read_head(&mut client, &mut request).await?;
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let length: usize = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.trim().parse().unwrap());
    while request.len() < head + length {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = text.lines().next().unwrap_or_default();
    let what = line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned();
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|seen| **seen == what).count();
        log.push(what.clone());
        before
    };
    let harm = harm(&what, before);
    match harm {
        Harm::Answer(answer) => return client.write_all(answer.as_bytes()).await,
        Harm::LostRequest => return Ok(()),
        Harm::Silence => {
            silent.notify_one();
            // Until the client goes.
            let _ = client.read_buf(&mut Vec::new()).await;
            return Ok(());
        }
        Harm::None | Harm::Half | Harm::LostAnswer => {}
    }
    let mut upstream = TcpStream::connect(server).await?;
    let at = text.find("\r\n").unwrap_or(0) + 2;
    upstream.write_all(&request[..at]).await?;
    upstream.write_all(b"connection: close\r\n").await?;
    upstream.write_all(&request[at..]).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    let body_at = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    match harm {
        Harm::LostAnswer => Ok(()),
        Harm::Half => {
            client
                .write_all(&answer[..body_at + (answer.len() - body_at) / 2])
                .await
        }
        _ => client.write_all(&answer).await,
    }
}

/// Reads until the head is whole; gives its length.
async fn read_head(socket: &mut TcpStream, into: &mut Vec<u8>) -> std::io::Result<usize> {
    loop {
        if let Some(at) = into.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(at + 4);
        }
        if socket.read_buf(into).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Counts, for harm that befalls the first requests only.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// How many there were before this one.
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
