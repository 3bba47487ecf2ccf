//! An example agent in Rust that answers each request with what it was sent, and with how many it has answered so far:
//! `{"echo":"hello","count":3}`. The count is durable state.
//!
//! `cargo build -p caxton-agent-echo --target wasm32-unknown-unknown --release` makes the module. It has no dependencies;
//! an agent that does more with its messages would use `serde_json`. `docs/agents.md` describes the interface.

#[cfg(target_arch = "wasm32")]
mod abi;
mod json;

/// The answer to a message, as JSON; `None` if the message is no JSON object with a `content`. Nothing in here knows of
/// WebAssembly, so it is tested like any other function.
pub fn answer(message: &[u8], count: u64) -> Option<Vec<u8>> {
    let content = json::member(message, "content")?;
    let mut answer = br#"{"echo":"#.to_vec();
    answer.extend_from_slice(content);
    answer.extend_from_slice(format!(",\"count\":{count}}}").as_bytes());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::answer;

    fn check(message: &str, expected: Option<&str>) {
        let answer = answer(message.as_bytes(), 3).map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(answer.as_deref(), expected, "{message}");
    }

    #[test]
    fn the_content_is_answered_as_it_came() {
        check(r#"{"id":"a","content":"hi"}"#, Some(r#"{"echo":"hi","count":3}"#));
        check(
            r#"{ "content" : {"content": [1, "}\"", {}]} , "x": 1 }"#,
            Some(r#"{"echo":{"content": [1, "}\"", {}]},"count":3}"#),
        );
        check(
            r#"{"a":{"content":1},"content":null}"#,
            Some(r#"{"echo":null,"count":3}"#),
        );
        check(
            r#"{"a":"\"content\":1","content":-1.5e3}"#,
            Some(r#"{"echo":-1.5e3,"count":3}"#),
        );
        check(r#"{"a":1}"#, None);
        check(r#"{"content":"#, None);
        check(r#"["content"]"#, None);
        check("", None);
    }
}
