//! An S3 service on this machine: moto, in a process of its own.

use crate::Background;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A service with an empty bucket `backups`. It ends with the value.
#[derive(Debug)]
pub struct ObjectStore {
    address: String,
    _server: Background,
}

impl ObjectStore {
    /// Starts one. Fails the test, saying what to do, where there is none.
    #[track_caller]
    pub fn start() -> Self {
        let mut command = Command::new(program());
        command
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("moto_server does not start ({error}): run `cargo xtask test`"));
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let server = Background::new(child);
        let mut said = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line
                .split_once("Running on http://")
                .map(|(_, address)| address.trim().to_owned());
            said.push_str(&line);
            address
        });
        let address = address.unwrap_or_else(|| panic!("moto_server does not start: {said}"));
        // To the end, or the server would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let store = Self {
            address,
            _server: server,
        };
        store.ask("PUT", "/backups");
        store
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a client needs in its environment. The service takes any key.
    pub fn environment(&self) -> [(&'static str, &'static str); 2] {
        [
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    /// Makes another bucket.
    #[track_caller]
    pub fn make_bucket(&self, name: &str) {
        self.ask("PUT", &format!("/{name}"));
    }

    /// The keys of all objects.
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        self.keys_of("backups")
    }

    /// The keys of all objects of a bucket.
    #[track_caller]
    pub fn keys_of(&self, bucket: &str) -> Vec<String> {
        let listed = self.ask("GET", &format!("/{bucket}?list-type=2"));
        let keys = listed
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(&self.address).expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 0\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/s3/aws4_request\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        answer
    }
}

/// The program of the environment that `cargo xtask test` makes, else the one that is installed.
fn program() -> PathBuf {
    let made = crate::root().join("target/venv-moto/bin/moto_server");
    if made.exists() {
        made
    } else {
        PathBuf::from("moto_server")
    }
}
