//! Times as people write and read them; inside they are microseconds since 1970-01-01 UTC.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use crate::misused;

/// RFC 3339 in UTC with microseconds; a number that is no date stays one.
pub(crate) fn show(micros: i64) -> String {
    Timestamp::from_microsecond(micros)
        .map_or_else(|_| format!("{micros}us"), |time| format!("{time:.6}"))
}

/// An RFC 3339 time.
pub(crate) fn parse(text: &str) -> Result<i64> {
    let time: Timestamp = text
        .parse()
        .map_err(|error| misused(format!("{text:?} is not a time: {error}")))?;
    Ok(time.as_microsecond())
}

/// An RFC 3339 time, or how long ago: `2h`, `30m`, `7d`.
pub(crate) fn parse_since(text: &str, now: Timestamp) -> Result<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_microsecond());
    }
    let wrong = || misused(format!("{text:?} is neither a time nor a span such as 2h"));
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    // A day is 24 hours here: what is asked for is an amount of time, not a calendar.
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let back: SignedDuration = span.to_duration(relative).map_err(|_| wrong())?;
    let then = now.checked_sub(back.abs()).map_err(|_| wrong())?;
    Ok(then.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_microseconds() {
        let micros = parse("2026-01-02T03:04:05.000006+01:00").unwrap();
        assert_eq!(show(micros), "2026-01-02T02:04:05.000006Z");
        assert_eq!(show(0), "1970-01-01T00:00:00.000000Z");
        assert!(parse("yesterday").is_err());
        assert_eq!(show(i64::MAX), "9223372036854775807us");
    }

    #[test]
    fn since_is_a_time_or_a_span() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (text, wanted) in [
            ("2h", 1_000_000 - 7_200),
            ("30m", 1_000_000 - 1_800),
            ("1d", 1_000_000 - 86_400),
            ("1970-01-01T00:00:09Z", 9),
        ] {
            assert_eq!(
                parse_since(text, now).unwrap(),
                wanted * 1_000_000,
                "{text}"
            );
        }
        for text in ["", "2", "soon", "5 parsecs"] {
            assert!(parse_since(text, now).is_err(), "{text}");
        }
    }
}
