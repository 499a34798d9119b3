//! The time of a run: one for all that it writes, so that the same run gives the same bytes again.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// A time in UTC (RFC 3339), spelled as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTime(String);

impl From<SystemTime> for RunTime {
    /// To the millisecond.
    fn from(time: SystemTime) -> Self {
        RunTime(humantime::format_rfc3339_millis(time).to_string())
    }
}

impl FromStr for RunTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_rfc3339(text) {
            Ok(_) => Ok(RunTime(text.to_owned())),
            Err(error) => {
                Err(format!("expected a time in UTC such as 2026-11-27T01:30:00Z: {error}"))
            }
        }
    }
}

impl RunTime {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_is_written_as_it_was_given() {
        for text in [
            "2026-11-27T01:30:00Z",
            "2026-11-27T01:30:00.5Z",
            "2026-11-27T01:30:00.123456789Z",
            "2026-11-27T01:30:00+00:00",
        ] {
            assert_eq!(text.parse::<RunTime>().unwrap().as_str(), text);
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(RunTime::from(time).to_string(), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn what_is_no_time_in_utc_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-27",
            "2026-11-27T01:30:00",
            "2026-11-27T01:30:00+01:00",
            "2026-02-30T01:30:00Z",
            "2026-11-27T01:30:00\u{e4}Z",
        ] {
            let error = text.parse::<RunTime>().unwrap_err();
            assert!(error.starts_with("expected a time in UTC such as"), "{text}: {error}");
        }
    }
}
