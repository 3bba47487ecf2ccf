//! A small HTTP service that remembers what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /path`.
    pub line: String,
    /// Everything: its head and its body.
    pub text: String,
}

/// A service on this machine, which lives as long as the test's process.
#[derive(Clone, Debug)]
pub struct Service {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    /// Starts one. `answer` makes a status and a body of a path and of how often that path was asked before.
    pub fn start(answer: impl Fn(&str, usize) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let service = Self { address, asked };
        let this = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no fault of the service.
                let _ = this.serve(stream, &answer);
            }
        });
        service
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.address
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve(
        &self,
        mut stream: TcpStream,
        answer: &impl Fn(&str, usize) -> (u16, String),
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let text = loop {
            let length = stream.read(&mut buffer)?;
            bytes.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if length == 0 || is_whole(&text) {
                break text;
            }
        };
        let line: String = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let before = self.asked().iter().filter(|asked| asked.line == line).count();
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Asked { line, text });
        let (status, body) = answer(&path, before);
        let head = format!(
            "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {}",
            body.len()
        );
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())
    }
}

/// Whether the head is there, and as much of a body as it says.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    body.len() >= length.unwrap_or(0)
}
