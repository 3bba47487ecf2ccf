//! Numbers with units.

use caxplan_model::Duration;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds.
    Duration,
    /// Percent.
    Percent,
    /// Bytes.
    Size,
}

impl Unit {
    /// The unit for a person.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Duration => "a duration",
            Self::Percent => "a percentage",
            Self::Size => "a size",
        }
    }
}

/// A field's ending, the unit that it stands for, the factor to the unit's own measure, and how to write it.
pub(super) const ENDINGS: [(&str, Unit, f64, &str); 6] = [
    ("_ms", Unit::Duration, 1.0, "ms"),
    ("_us", Unit::Duration, 0.001, "us"),
    ("_s", Unit::Duration, 1000.0, "s"),
    ("_seconds", Unit::Duration, 1000.0, "s"),
    ("_percent", Unit::Percent, 1.0, "%"),
    ("_bytes", Unit::Size, 1.0, "bytes"),
];

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(super) number: f64,
    pub(super) unit: Unit,
}

/// Reads `100ms`, `80%`, `2GiB`. `None` if the text is none of them.
pub(super) fn parse_quantity(text: &str) -> Option<Quantity> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    if let Some(number) = text.strip_suffix('%') {
        return Some(Quantity {
            number: number.trim_end().parse().ok()?,
            unit: Unit::Percent,
        });
    }
    if text.parse::<f64>().is_ok() {
        return None;
    }
    if let Some(number) = parse_size(text) {
        return Some(Quantity {
            number,
            unit: Unit::Size,
        });
    }
    let duration: Duration = text.parse().ok()?;
    #[allow(clippy::cast_precision_loss)]
    Some(Quantity {
        number: duration.as_millis() as f64,
        unit: Unit::Duration,
    })
}

/// Reads `512B`, `10MB`, `2GiB` as a number of bytes.
pub(crate) fn parse_size(text: &str) -> Option<f64> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..at].trim_end().parse().ok()?;
    let factor: f64 = match &text[at..] {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number * factor)
}

/// The parts of `1.10.0`, if the text is such a version: numbers alone have an order.
pub(crate) fn parse_version(text: &str) -> Option<Vec<u64>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let parts: Vec<u64> = text
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    (parts.len() >= 2).then_some(parts)
}
