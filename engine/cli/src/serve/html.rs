//! Markup.

use std::fmt::Write as _;

/// A text that stays text in a page, also in an attribute between double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Escape sequences and the like have no place in a page.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A whole page. `title` is text, `body` is markup; `refresh` is after how many seconds it is loaded anew.
pub(super) fn page(title: &str, refresh: Option<u32>, body: &str) -> String {
    let mut head = String::new();
    if let Some(seconds) = refresh {
        let _ = write!(head, "<meta http-equiv=\"refresh\" content=\"{seconds}\">");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{head}<title>{}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head>\n<body>\n{body}\n</body></html>\n",
        escape(title)
    )
}

pub(super) const STYLE: &str = "\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25em .75em .25em 0; border-bottom: 1px solid #ddd }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 14px }
form { display: inline-block; margin: 0 1em .5em 0 }
.succeeded { color: #06702d } .failed, .stuck { color: #b00020; font-weight: bold }
.waiting, .interrupted, .rolled_back, .cancelled { color: #8a5300; font-weight: bold } .running { color: #0b57a4 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #161616 } pre { background: #222 } th, td { border-color: #444 } a { color: #8ab4f8 }
  .succeeded { color: #6fcf97 } .failed, .stuck { color: #ff7b7b } .running { color: #8ab4f8 }
  .waiting, .interrupted, .rolled_back, .cancelled { color: #f2c063 }
}
";
