//! `s3.*` beside Amazon's command line: the same work at the same service, in turns.
//!
//! The service runs on this machine, over files, and takes its share of the time of both; so the ratio is a floor of the
//! difference between the clients.

use super::{median, ratio, show, timed};
use crate::{python, shell};
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The large object.
const LARGE_MIB: usize = 1024;
/// The small ones.
const SMALL: usize = 10_000;
/// How many bytes each has.
const SMALL_BYTES: usize = 1024;
/// Runs of which the median is taken.
const RUNS: usize = 3;

/// Builds in release mode and prints the table.
pub(crate) fn run() -> Result<()> {
    let aws = python::aws()?;
    let caxplan = super::program()?;
    shell::run(&[
        "cargo",
        "build",
        "--release",
        "--workspace",
        "--locked",
        "--example",
        "s3-server",
    ])?;
    let server = shell::target_dir().join("release/examples/s3-server");
    measure(&caxplan, &server, &aws)
}

fn measure(caxplan: &Path, server: &Path, aws: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(shell::target_dir()).context("a folder on the disk to measure")?;
    let bench = Objects::prepare(folder.path(), caxplan, server, aws)?;
    shell::say(&format!(
        "\n{:<44} {:>10} {:>10}  {:>6}",
        "what (whole process)", "caxplan", "aws", "ratio"
    ));
    let large = format!("{LARGE_MIB} MiB");
    let small = format!("{SMALL} files of {SMALL_BYTES} bytes");
    bench.row(
        &format!("put {large}"),
        (
            "s3.put: {src: large, to: 's3://bench/caxplan-large'}",
            &["bucket/bench/caxplan-large"],
        ),
        (
            &["s3", "cp", "large", "s3://bench/aws-large"],
            &["bucket/bench/aws-large"],
        ),
    )?;
    bench.row(
        &format!("get {large}"),
        ("s3.get: {from: 's3://bench/caxplan-large', dest: got}", &["got"]),
        (&["s3", "cp", "s3://bench/aws-large", "got-aws"], &["got-aws"]),
    )?;
    bench.row(
        &format!("sync {small} up"),
        (
            "s3.sync: {src: small, to: 's3://bench/caxplan-small'}",
            &["bucket/bench/caxplan-small"],
        ),
        (
            &["s3", "sync", "small", "s3://bench/aws-small"],
            &["bucket/bench/aws-small"],
        ),
    )?;
    bench.row(
        &format!("sync {small}, nothing to do"),
        ("s3.sync: {src: small, to: 's3://bench/caxplan-small'}", &[]),
        (&["s3", "sync", "small", "s3://bench/aws-small"], &[]),
    )?;
    bench.row(
        &format!("sync {small} down"),
        (
            "s3.sync: {from: 's3://bench/caxplan-small', dest: back}",
            &["back"],
        ),
        (&["s3", "sync", "s3://bench/aws-small", "back-aws"], &["back-aws"]),
    )
}

/// The service, the files, and both programs.
struct Objects<'a> {
    folder: &'a Path,
    caxplan: &'a Path,
    aws: &'a Path,
    endpoint: String,
    server: Child,
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl<'a> Objects<'a> {
    fn prepare(folder: &'a Path, caxplan: &'a Path, server: &Path, aws: &'a Path) -> Result<Self> {
        fs::create_dir_all(folder.join("bucket/bench"))?;
        // What does not compress, and is not all the same.
        let mut random = File::open("/dev/urandom")?;
        let mut block = vec![0; 1 << 20];
        let mut large = File::create(folder.join("large"))?;
        for _ in 0..LARGE_MIB {
            random.read_exact(&mut block)?;
            large.write_all(&block)?;
        }
        for number in 0..SMALL {
            let of = folder.join(format!("small/{:02}", number % 100));
            fs::create_dir_all(&of)?;
            random.read_exact(&mut block[..SMALL_BYTES])?;
            fs::write(of.join(format!("{number:05}")), &block[..SMALL_BYTES])?;
        }
        let mut server = Command::new(server)
            .arg(folder.join("bucket"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the service does not start")?;
        let mut endpoint = String::new();
        let stdout = server.stdout.take().context("it has an output")?;
        BufReader::new(stdout).read_line(&mut endpoint)?;
        Ok(Self {
            folder,
            caxplan,
            aws,
            endpoint: endpoint.trim().to_owned(),
            server,
        })
    }

    /// Times both in turns; what is `fresh` is removed before each run.
    fn row(
        &self,
        what: &str,
        (step, fresh): (&str, &[&str]),
        (arguments, fresh_aws): (&[&str], &[&str]),
    ) -> Result<()> {
        let plan = self.plan(step)?;
        let mut theirs = Vec::new();
        let ours = median(RUNS, || {
            self.remove(fresh)?;
            let ours = timed(&mut self.command(self.caxplan, &["run", &plan.to_string_lossy()]))?;
            self.remove(fresh_aws)?;
            theirs.push(timed(&mut self.command(self.aws, arguments))?);
            Ok(ours)
        })?;
        theirs.sort();
        let theirs = theirs[theirs.len() / 2];
        shell::say(&line(what, ours, theirs));
        Ok(())
    }

    fn plan(&self, step: &str) -> Result<PathBuf> {
        let path = self.folder.join("plan.yaml");
        fs::write(
            &path,
            format!("name: objects\nphases:\n  - name: work\n    steps:\n      - {step}\n"),
        )?;
        Ok(path)
    }

    fn remove(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let path = self.folder.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder)
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench-secret")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            // What a person has set on this machine has no part in it.
            .env("AWS_CONFIG_FILE", self.folder.join("none"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.folder.join("none"))
            .env("CAXPLAN_STATE_DIR", self.folder.join("state"));
        command
    }
}

fn line(what: &str, ours: Duration, theirs: Duration) -> String {
    format!(
        "{what:<44} {:>10} {:>10}  {:>6.2}",
        show(ours),
        show(theirs),
        ratio(ours, theirs)
    )
}
