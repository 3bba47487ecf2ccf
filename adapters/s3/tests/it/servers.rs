//! The two servers.

use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const KEY: &str = "AKIATESTKEY";
pub(crate) const SECRET: &str = "test/secret+key";

/// `s3s-fs` in this process: strict about signatures, checksums and conditions; without versions.
pub(crate) struct Strict {
    pub(crate) endpoint: String,
    pub(crate) root: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Strict {
    /// Starts one with an empty bucket `bkt`.
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("bkt")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint, root, task }
    }

    /// The bucket's folder, in which each object is a file.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.root.path().join("bkt")
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `moto_server` in a process of its own: versions and object lock; lax about signatures.
pub(crate) struct Moto {
    pub(crate) endpoint: String,
    child: Child,
}

impl Moto {
    /// Starts one with the empty buckets `bkt`, `versioned` and `locked`. Nothing if it is not installed here, which is a
    /// failure in CI.
    pub(crate) async fn start() -> Option<Self> {
        let mut command = Command::new(program());
        command
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("SKIPPED: moto_server does not start ({error}): `cargo xtask test` installs it");
                return None;
            }
            Err(error) => panic!("moto_server does not start: {error}: `cargo xtask test` installs it"),
        };
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (ready, address) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut ready = Some(ready);
            let mut all = String::new();
            // To the end, or the server would block on a full pipe.
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Running on ") {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(Ok(address.trim().to_owned()));
                    }
                } else if ready.is_some() {
                    all.push_str(&line);
                    all.push('\n');
                }
            }
            if let Some(ready) = ready.take() {
                let _ = ready.send(Err(all));
            }
        });
        let endpoint = match address.await.unwrap() {
            Ok(endpoint) => endpoint,
            Err(said) => {
                let _ = child.wait();
                // What stands for the program of other Python versions is there, but does not start.
                assert!(
                    std::env::var_os("CI").is_none(),
                    "moto_server did not start: {said}"
                );
                eprintln!("SKIPPED: moto_server does not start ({said})");
                return None;
            }
        };
        let moto = Self { endpoint, child };
        for (bucket, headers) in [
            ("bkt", ""),
            ("versioned", ""),
            ("locked", "x-amz-bucket-object-lock-enabled: true\r\n"),
        ] {
            moto.ask("PUT", &format!("/{bucket}"), headers, "").await;
        }
        let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        moto.ask("PUT", "/versioned?versioning", "", enabled).await;
        Some(moto)
    }

    /// A request by hand, which must succeed; gives the answer, headers and all.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let host = self.endpoint.strip_prefix("http://").unwrap();
        let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        );
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n{headers}\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer
                .split(' ')
                .nth(1)
                .is_some_and(|status| status.starts_with('2')),
            "{method} {path}: {answer}"
        );
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of the environment that `cargo xtask test` makes, else the one that is installed.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv-moto/bin/moto_server");
    if target.exists() {
        target
    } else {
        PathBuf::from("moto_server")
    }
}
