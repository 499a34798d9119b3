//! Dates, times and spans of time as texts: ISO 8601, and RFC 3339 where it has a form.
//!
//! A fraction has as many digits as the unit: a column's texts are all of the same length, and none
//! says more or less than what stood there.

use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano, TimeUnit};

const SECONDS_OF_DAY: i64 = 86_400;

/// How many of a unit make a second, and how many digits that is.
fn parts(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// Days since 1970-01-01.
pub(super) fn date(days: i64, out: &mut Vec<u8>) {
    // Counted in years that begin in March, so that a leap day is the last of its year; by Howard
    // Hinnant's `civil_from_days`.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    if !(0..10_000).contains(&year) {
        out.push(if year < 0 { b'-' } else { b'+' }); // as ISO 8601 has it, and RFC 3339 not at all
    }
    padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    padded(month.unsigned_abs(), 2, out);
    out.push(b'-');
    padded(day.unsigned_abs(), 2, out);
}

/// Since midnight. False: no time of a day; nothing is written.
pub(super) fn time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) -> bool {
    let (per_second, digits) = parts(unit);
    let is_time = (0..SECONDS_OF_DAY * per_second).contains(&value);
    if is_time {
        let seconds = value / per_second;
        for (n, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
            if n > 0 {
                out.push(b':');
            }
            padded(part.unsigned_abs(), 2, out);
        }
        fraction((value % per_second).unsigned_abs(), digits, out);
    }
    is_time
}

/// Since 1970. `is_zoned`: it is an instant, told in UTC; else what a clock on some wall showed.
pub(super) fn timestamp(value: i64, unit: TimeUnit, is_zoned: bool, out: &mut Vec<u8>) {
    let of_day = SECONDS_OF_DAY * parts(unit).0;
    date(value.div_euclid(of_day), out);
    out.push(b'T');
    time(value.rem_euclid(of_day), unit, out);
    if is_zoned {
        out.push(b'Z');
    }
}

/// A span of time in seconds.
pub(super) fn duration(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(b"PT");
    seconds(value.unsigned_abs(), unit, out);
}

/// So many months.
pub(super) fn months(months: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("P{months}M").as_bytes());
}

/// So many days and milliseconds, which are no days together.
pub(super) fn day_time(value: IntervalDayTime, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("P{}DT", value.days).as_bytes());
    signed_seconds(value.milliseconds.into(), TimeUnit::Millisecond, out);
}

/// So many months, days and nanoseconds.
pub(super) fn month_day_nano(value: IntervalMonthDayNano, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("P{}M{}DT", value.months, value.days).as_bytes());
    signed_seconds(value.nanoseconds, TimeUnit::Nanosecond, out);
}

fn signed_seconds(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    seconds(value.unsigned_abs(), unit, out);
}

fn seconds(value: u64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (per_second, digits) = parts(unit);
    padded(value / per_second.unsigned_abs(), 1, out);
    fraction(value % per_second.unsigned_abs(), digits, out);
    out.push(b'S');
}

fn fraction(value: u64, digits: usize, out: &mut Vec<u8>) {
    if digits > 0 {
        out.push(b'.');
        padded(value, digits, out);
    }
}

/// A number with so many digits at least.
fn padded(value: u64, digits: usize, out: &mut Vec<u8>) {
    let (start, mut rest) = (out.len(), value);
    while rest > 0 || out.len() < start + digits {
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    #[track_caller]
    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_day_is_written_as_the_calendar_has_it() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (-25_509, "1900-02-28"),
            (-25_508, "1900-03-01"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (i64::from(i32::MAX), "+5881580-07-11"),
            (i64::from(i32::MIN), "-5877641-06-23"),
        ] {
            check(|out| date(days, out), expected);
        }
    }

    #[test]
    fn a_timestamp_has_as_many_digits_as_its_unit() {
        check(|out| timestamp(0, Second, true, out), "1970-01-01T00:00:00Z");
        check(|out| timestamp(-1, Millisecond, false, out), "1969-12-31T23:59:59.999");
        check(|out| timestamp(1_500_000, Microsecond, true, out), "1970-01-01T00:00:01.500000Z");
        check(|out| timestamp(i64::MAX, Nanosecond, true, out), "2262-04-11T23:47:16.854775807Z");
        check(|out| timestamp(i64::MIN, Nanosecond, false, out), "1677-09-21T00:12:43.145224192");
        let last = "+292277026596-12-04T15:30:07Z";
        check(|out| timestamp(i64::MAX, Second, true, out), last);
    }

    #[test]
    fn a_time_is_one_of_a_day_or_none() {
        check(|out| assert!(time(86_399, Second, out)), "23:59:59");
        check(|out| assert!(time(3_600_000_001, Microsecond, out)), "01:00:00.000001");
        check(|out| assert!(!time(86_400, Second, out)), "");
        check(|out| assert!(!time(-1, Nanosecond, out)), "");
    }

    #[test]
    fn spans_of_time_keep_their_signs_and_parts() {
        check(|out| duration(90, Second, out), "PT90S");
        check(|out| duration(-1_500, Millisecond, out), "-PT1.500S");
        check(|out| duration(i64::MIN, Nanosecond, out), "-PT9223372036.854775808S");
        check(|out| months(-14, out), "P-14M");
        check(|out| day_time(IntervalDayTime::new(3, -1), out), "P3DT-0.001S");
        let all = IntervalMonthDayNano::new(1, -2, 3_000_000_004);
        check(|out| month_day_nano(all, out), "P1M-2DT3.000000004S");
    }
}
