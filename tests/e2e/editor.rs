//! What an editor makes of the schemas: the language server that most editors use for YAML, spoken to as they do.

use caxton_tests::{Sandbox, programs, root};
use serde_json::{Value, json};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The release that was tried. `npm` fetches it once, into the target folder.
const SERVER: &str = "yaml-language-server@1.25.0";
/// How long one answer may take on a busy machine, before the server counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

const PLAN: &str = "\
phases:
  - name: a
    on_failre: stop
    steps:
      - action: shell.run
        timeout: 5m
        ret
      - shell.run:
          scr
      - shell.run: {argv: 5}
";

#[test]
fn committed_schemas_are_those_of_the_program() {
    for kind in [
        "plan",
        "library",
        "inventory",
        "maintenance",
        "backup",
        "health_checks",
        "alerts",
    ] {
        let path = root().join(format!("schemas/{kind}.schema.json"));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let printed = Sandbox::new().caxplan(&["schema", kind]).stdout;
        assert!(
            committed == printed,
            "{} is stale: run `cargo xtask generate`",
            path.display()
        );
    }
}

#[test]
fn an_editor_completes_explains_and_warns() {
    let Some(program) = server() else {
        return;
    };
    let sandbox = Sandbox::new();
    let schema = root().join("schemas/plan.schema.json");
    let text = format!("# yaml-language-server: $schema={}\n{PLAN}", schema.display());
    sandbox.file("plan.yaml", &text);
    let mut editor = Editor::open(&program, &sandbox.path().join("plan.yaml"), &text);

    let place = |needle: &str| -> (usize, usize) {
        let at = text.find(needle).expect("it stands in the plan") + needle.len();
        let line = text[..at].matches('\n').count();
        (line, at - text[..at].rfind('\n').map_or(0, |newline| newline + 1))
    };
    for (needle, label, explanation) in [
        ("        ret", "retry", "When and how often to try again"),
        ("          scr", "script", "script"),
    ] {
        let answer = editor.ask("textDocument/completion", place(needle));
        let items = answer["items"]
            .as_array()
            .or(answer.as_array())
            .cloned()
            .unwrap_or_default();
        let item = items
            .iter()
            .find(|item| item["label"] == label)
            .unwrap_or_else(|| panic!("no `{label}` among {items:#?}"));
        let said = item["documentation"].to_string().to_lowercase();
        assert!(said.contains(&explanation.to_lowercase()), "{item:#}");
    }

    let answer = editor.ask("textDocument/hover", place("        timeo"));
    let said = answer["contents"].to_string();
    assert!(said.contains("The time limit of one attempt"), "{answer:#}");
    let answer = editor.ask("textDocument/hover", place("      - shell.r"));
    assert!(!answer["contents"].to_string().is_empty(), "{answer:#}");

    let said = editor.diagnostics();
    assert!(
        said.iter()
            .any(|(line, message)| *line == 3 && message.contains("on_failre")),
        "{said:#?}"
    );
    let argument = place("{argv: ").0;
    assert!(said.iter().any(|(line, _)| *line == argument), "{said:#?}");
}

/// The program, installed if it is not there. `None` if it cannot be had, which is no answer where CI asks.
fn server() -> Option<PathBuf> {
    let folder = programs().parent().expect("target").join("editor");
    let program = folder.join("node_modules/yaml-language-server/bin/yaml-language-server");
    if program.is_file() {
        return Some(program);
    }
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let installed = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"])
        .arg(&folder)
        .arg(SERVER)
        .stdin(Stdio::null())
        .output();
    let why = match installed {
        Ok(output) if output.status.success() && program.is_file() => return Some(program),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "{SERVER} cannot be installed: {why}"
    );
    skipped(&why);
    None
}

#[allow(clippy::print_stderr)]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {SERVER} cannot be installed, so that no editor was tried: {why}");
}

/// A client of the language server with one open file.
struct Editor {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    uri: String,
    last_id: u64,
    /// What the server said about the file last, by line.
    said: Option<Vec<(usize, String)>>,
}

impl Editor {
    fn open(program: &Path, file: &Path, text: &str) -> Self {
        let mut child = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let input = child.stdin.take().expect("a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = receive(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let uri = format!("file://{}", file.display());
        let mut this = Self {
            child,
            input,
            messages,
            uri,
            last_id: 0,
            said: None,
        };
        let documentation = json!({"documentationFormat": ["markdown", "plaintext"], "snippetSupport": true});
        let capabilities = json!({"textDocument": {
            "completion": {"completionItem": documentation},
            "hover": {"contentFormat": ["markdown", "plaintext"]},
            "publishDiagnostics": {},
        }});
        let process = std::process::id();
        this.request(
            "initialize",
            &json!({"processId": process, "rootUri": null, "capabilities": capabilities}),
        );
        this.send(&json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}));
        let document = json!({"uri": this.uri, "languageId": "yaml", "version": 1, "text": text});
        this.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}));
        this
    }

    /// Asks about a place: line and column from 0.
    fn ask(&mut self, method: &str, (line, character): (usize, usize)) -> Value {
        let params = json!({
            "textDocument": {"uri": self.uri},
            "position": {"line": line, "character": character},
        });
        self.request(method, &params)
    }

    /// What the server says is wrong, by line from 0.
    fn diagnostics(&mut self) -> Vec<(usize, String)> {
        while self.said.as_ref().is_none_or(Vec::is_empty) {
            self.next();
        }
        self.said.clone().unwrap_or_default()
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message:#}");
                return message["result"].clone();
            }
        }
    }

    /// The next message; what the server asks in turn is answered with nothing.
    fn next(&mut self) -> Value {
        let message = self
            .messages
            .recv_timeout(PATIENCE)
            .expect("the language server answers");
        if message["method"] == "textDocument/publishDiagnostics" {
            let items = message["params"]["diagnostics"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let line = |item: &Value| item["range"]["start"]["line"].as_u64().unwrap_or_default();
            let said = items.iter().map(|item| {
                let line = usize::try_from(line(item)).unwrap_or_default();
                (line, item["message"].as_str().unwrap_or_default().to_owned())
            });
            self.said = Some(said.collect());
        } else if message.get("method").is_some() && message.get("id").is_some() {
            self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": null}));
        }
        message
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server reads");
        self.input.flush().expect("the server reads");
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next message of the server; `None` at its end.
fn receive(output: &mut impl std::io::BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(number) = line.strip_prefix("Content-Length: ") {
            length = number.parse().ok()?;
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
