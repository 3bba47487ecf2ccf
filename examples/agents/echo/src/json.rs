//! Just enough JSON to find a member of an object. It trusts the host to send well-formed text, and stops at anything else.

/// The raw text of the object's member `name`.
pub(crate) fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = expect(object, b'{')?;
    loop {
        let (key, after_key) = value(rest)?;
        let (found, after_value) = value(expect(after_key, b':')?)?;
        let key = key.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if key == name.as_bytes() {
            return Some(found);
        }
        rest = expect(after_value, b',')?;
    }
}

/// Splits one value from the front.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let mut depth = 0_u32;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => at += string_len(&text[at..])?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => at += text[at..].iter().position(|byte| b",:]} \t\n\r".contains(byte))?,
        }
        if depth == 0 {
            return Some(text.split_at(at));
        }
    }
}

/// The length of the string at the front, with its quotes.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What comes after this byte, which must be next.
fn expect(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(&[byte])
}
